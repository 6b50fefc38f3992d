// An agent in C++17 without libraries, for CartPole-v1: it pushes the cart towards the side to which the pole falls.
//
//     c++ -std=c++17 -O2 -o http_agent examples/http_agent.cpp && ./http_agent [host] [port]

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <iostream>
#include <stdexcept>
#include <string>

// One connection for all requests.
class Connection {
 public:
  Connection(std::string host, const std::string& port) : host_(std::move(host)) {
    addrinfo hints{}, *found = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(host_.c_str(), port.c_str(), &hints, &found) != 0) throw std::runtime_error("unknown host " + host_);
    socket_ = socket(found->ai_family, found->ai_socktype, found->ai_protocol);
    const bool connected = connect(socket_, found->ai_addr, found->ai_addrlen) == 0;
    freeaddrinfo(found);
    if (!connected) throw std::runtime_error("no server answers at " + host_ + ":" + port);
  }
  ~Connection() { close(socket_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // The body of the response to a POST request.
  std::string post(const std::string& path, const std::string& body) {
    const std::string request = "POST /v1/envs/" + path + " HTTP/1.1\r\nHost: " + host_ +
                                "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
                                "\r\n\r\n" + body;
    if (send(socket_, request.data(), request.size(), 0) != static_cast<ssize_t>(request.size())) throw std::runtime_error("cannot send");
    std::string response;
    std::size_t head;
    while ((head = response.find("\r\n\r\n")) == std::string::npos) receive(response);
    const auto at = response.find("Content-Length: ");
    const std::size_t length = at < head ? std::stoul(response.substr(at + 16)) : 0;
    while (response.size() < head + 4 + length) receive(response);
    if (response[9] != '2') throw std::runtime_error(response.substr(head + 4));
    return response.substr(head + 4);
  }

 private:
  void receive(std::string& response) {
    char buffer[4096];
    const ssize_t size = recv(socket_, buffer, sizeof buffer, 0);
    if (size <= 0) throw std::runtime_error("the server closed the connection");
    response.append(buffer, static_cast<std::size_t>(size));
  }

  std::string host_;
  int socket_ = -1;
};

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
