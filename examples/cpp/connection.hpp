// A connection to a server, in C++17 without libraries.

#pragma once

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

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

  // The body of the response to a POST request with a body in JSON; errors are JSON, whatever is accepted.
  std::string post(const std::string& path, const std::string& body, const std::string& accept = "application/json") {
    const std::string request = "POST /v1/envs/" + path + " HTTP/1.1\r\nHost: " + host_ +
                                "\r\nContent-Type: application/json\r\nAccept: " + accept +
                                "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
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
