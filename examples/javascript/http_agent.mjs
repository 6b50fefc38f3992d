// A random agent in JavaScript, for Node.js 18 or newer: node examples/javascript/http_agent.mjs [server] [environment]

const server = process.argv[2] ?? "http://127.0.0.1:5000";
const envId = process.argv[3] ?? "CartPole-v1";

async function call(method, path, body) {
  const response = await fetch(`${server}/v1/envs/${path}`, {
    method,
    headers: { "Content-Type": "application/json" },
    body: method === "GET" ? undefined : JSON.stringify(body ?? {}),
  });
  const text = await response.text();
  const payload = text ? JSON.parse(text) : null;
  if (!response.ok) throw new Error(`${response.status}: ${payload.message}`);
  return payload;
}

const { instance_id: instance } = await call("POST", "", { env_id: envId });
try {
  let { observation } = await call("POST", `${instance}/reset/`, { seed: 0 });
  let total = 0, steps = 0, done = false;
  while (!done) {
    const { action } = await call("GET", `${instance}/action_space/sample`);
    steps += 1;
    // With `seq`, the number of the step, a request that is sent again is not stepped twice.
    const answer = await call("POST", `${instance}/step/`, { action, seq: steps });
    ({ observation, done } = answer);
    total += answer.reward;
  }
  console.log(`return ${total} after ${steps} steps`);
} finally {
  await call("POST", `${instance}/close/`);
}
