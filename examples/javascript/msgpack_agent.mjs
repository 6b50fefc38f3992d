// An agent in JavaScript, for Node.js 18 or newer, with observations as bytes: node examples/javascript/msgpack_agent.mjs [server]
// It pushes CartPole's cart towards the side to which the pole falls.

const server = process.argv[2] ?? "http://127.0.0.1:5000";

async function call(path, body, accept = "application/msgpack") {
  const headers = { "Content-Type": "application/json", Accept: accept };
  const response = await fetch(`${server}/v1/envs/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  const answer = Buffer.from(await response.arrayBuffer());
  if (!response.ok) throw new Error(`${response.status}: ${JSON.parse(answer).message}`); // errors are always JSON
  return answer;
}

// The bytes of the observation, which comes first in the answer. A larger program would use a msgpack library.
function observation(answer) {
  const at = answer.indexOf("observation") + 11;
  const width = { 0xc4: 1, 0xc5: 2, 0xc6: 4 }[answer[at]]; // bin 8, bin 16 or bin 32
  const start = at + 1 + width;
  return answer.subarray(start, start + answer.readUIntBE(at + 1, width));
}

const isDone = (answer) => answer[answer.indexOf("done") + 4] === 0xc3;

const { instance_id: instance } = JSON.parse(await call("", { env_id: "CartPole-v1" }, "application/json"));
try {
  let answer = await call(`${instance}/reset/`, { seed: 0 });
  let steps = 0;
  do {
    const bytes = observation(answer); // four float32: the third and fourth are the pole's angle and angular velocity
    const action = bytes.readFloatLE(8) + bytes.readFloatLE(12) > 0 ? 1 : 0;
    answer = await call(`${instance}/step/`, { action, seq: ++steps });
  } while (!isDone(answer));
  console.log(`done after ${steps} steps`);
} finally {
  await call(`${instance}/close/`, {}, "application/json");
}
