// SPDX-License-Identifier: BSD-3-Clause
// A scraper at the agent's page: over a unix socket and over TCP, patient and not.
#include <gtest/gtest.h>

#include <list>

#include "agent/drive/agent/metrics.h"
#include "agent/io/sockaddr.h"
#include "tests/unit/drive/client.h"
#include "tests/unit/io/drive.h"

namespace sallyport {
namespace {

class metrics_server : public testing::Test {
 protected:
  void SetUp() override {
    auto listener = io::listen_tcp(*IpAddress::parse("127.0.0.1"), 0);
    ASSERT_TRUE(listener) << listener.error().text();
    const auto where = io::local_endpoint(*listener);
    ASSERT_TRUE(where);
    port_ = where->port;
    auto server = MetricsServer::create(*loop_, std::move(*listener), [this] {
      ++pages_;
      return std::string("sallyport_info 1\n");
    });
    ASSERT_TRUE(server) << server.error().text();
    server_ = std::move(*server);
  }
  std::string scrape(std::string_view request) {
    Client scraper(port_);
    scraper.send(request);
    EXPECT_TRUE(io::run_until(*loop_, [&] { return scraper.ended(); }));
    return scraper.heard();
  }

  std::unique_ptr<io::Loop> loop_ = io::make_loop();
  uint16_t port_ = 0;
  int pages_ = 0;
  std::unique_ptr<MetricsServer> server_;
};

TEST_F(metrics_server, gives_a_scraper_the_page) {
  EXPECT_EQ(scrape("GET /metrics HTTP/1.1\r\nHost: gw\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: 17\r\n"
            "Connection: close\r\n\r\nsallyport_info 1\n");
  EXPECT_EQ(pages_, 1);
}

TEST_F(metrics_server, a_request_may_come_in_pieces) {
  Client scraper(port_);
  scraper.send("GET / HT");
  io::settle(*loop_);
  EXPECT_FALSE(scraper.ended());
  scraper.send("TP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(io::run_until(*loop_, [&] { return scraper.ended(); }));
  EXPECT_TRUE(scraper.heard().ends_with("\r\n\r\nsallyport_info 1\n"));
  EXPECT_EQ(pages_, 1);
}

TEST_F(metrics_server, what_is_no_get_is_refused) {
  for (const std::string& request :
       {std::string("POST / HTTP/1.1\r\n\r\n"), std::string("\r\n\r\n"),
        std::string(MetricsServer::kLongestRequest, 'x')}) {
    EXPECT_TRUE(scrape(request).starts_with("HTTP/1.1 400 ")) << request.substr(0, 20);
  }
  EXPECT_EQ(pages_, 0);
}

TEST_F(metrics_server, those_that_never_speak_keep_nobody_out) {
  std::list<Client> quiet;
  for (size_t n = 0; n < 2 * MetricsServer::kMostClients; ++n) quiet.emplace_back(port_);
  EXPECT_TRUE(scrape("GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200 "));
  EXPECT_TRUE(io::run_until(*loop_, [&] { return quiet.front().ended(); }));
  EXPECT_FALSE(quiet.back().ended());
}

}  // namespace
}  // namespace sallyport
