// The agent of http_agent.cpp, with observations as bytes: the server answers in msgpack.
//
//     c++ -std=c++17 -O2 -o msgpack_agent examples/cpp/msgpack_agent.cpp && ./msgpack_agent [host] [port]

#include <cstring>
#include <iostream>
#include <stdexcept>
#include <string>

#include "connection.hpp"

// The bytes of the observation, which comes first in the answer. A larger program would use a msgpack library.
std::string observation(const std::string& answer) {
  const std::size_t at = answer.find("observation") + 11;
  const int width = answer[at] == '\xc4' ? 1 : answer[at] == '\xc5' ? 2 : 4;  // bin 8, bin 16 or bin 32
  std::size_t size = 0;
  for (int i = 1; i <= width; ++i) size = size << 8 | static_cast<unsigned char>(answer[at + i]);
  return answer.substr(at + 1 + width, size);
}

bool is_done(const std::string& answer) { return answer[answer.find("done") + 4] == '\xc3'; }

// The third and fourth float32 of the observation: the pole's angle and angular velocity. Numbers are little-endian.
int action(const std::string& bytes) {
  float values[4];
  if (bytes.size() != sizeof values) throw std::runtime_error("not the observation of a CartPole");
  std::memcpy(values, bytes.data(), sizeof values);
  return values[2] + values[3] > 0 ? 1 : 0;
}

int main(int count, char** words) {
  try {
    Connection server(count > 1 ? words[1] : "127.0.0.1", count > 2 ? words[2] : "5000");
    const std::string created = server.post("", R"({"env_id": "CartPole-v1"})");
    const std::size_t start = created.find("\"instance_id\":\"") + 15;
    const std::string instance = created.substr(start, created.find('"', start) - start);
    std::string answer = server.post(instance + "/reset/", R"({"seed": 0})", "application/msgpack");
    int steps = 0;
    do {
      const std::string act = std::to_string(action(observation(answer)));
      const std::string body = R"({"action": )" + act + R"(, "seq": )" + std::to_string(++steps) + "}";
      answer = server.post(instance + "/step/", body, "application/msgpack");
    } while (!is_done(answer));
    server.post(instance + "/close/", "{}");
    std::cout << "done after " << steps << " steps\n";
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
