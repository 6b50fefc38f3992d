// An agent in C++17 without libraries, for CartPole-v1: it pushes the cart towards the side to which the pole falls.
//
//     c++ -std=c++17 -O2 -o http_agent examples/cpp/http_agent.cpp && ./http_agent [host] [port]

#include <iostream>
#include <stdexcept>
#include <string>

#include "connection.hpp"

// What follows `"name":` in a flat JSON object. A larger program would use a JSON library.
std::string member(const std::string& json, const std::string& name) {
  const std::string key = "\"" + name + "\":";
  const auto at = json.find(key);
  if (at == std::string::npos) throw std::runtime_error("no " + name + " in " + json);
  return json.substr(at + key.size());
}

// The third and fourth numbers of the observation: the pole's angle and angular velocity.
int action(const std::string& json) {
  std::string numbers = member(json, "observation").substr(1);
  double values[4];
  for (double& value : values) {
    std::size_t used;
    value = std::stod(numbers, &used);
    numbers = numbers.substr(used + 1);
  }
  return values[2] + values[3] > 0 ? 1 : 0;
}

int main(int count, char** words) {
  try {
    Connection server(count > 1 ? words[1] : "127.0.0.1", count > 2 ? words[2] : "5000");
    std::string instance = member(server.post("", R"({"env_id": "CartPole-v1"})"), "instance_id").substr(1);
    instance = instance.substr(0, instance.find('"'));
    std::string answer = server.post(instance + "/reset/", R"({"seed": 0})");
    double total = 0;
    int steps = 0;
    do {
      const std::string number = std::to_string(++steps);
      // With "seq", the number of the step, a request that is sent again is not stepped twice.
      answer = server.post(instance + "/step/", R"({"action": )" + std::to_string(action(answer)) + R"(, "seq": )" + number + "}");
      total += std::stod(member(answer, "reward"));
    } while (member(answer, "done").compare(0, 4, "true") != 0);
    server.post(instance + "/close/", "{}");
    std::cout << "return " << total << " after " << steps << " steps\n";
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
