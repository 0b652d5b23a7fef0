// SPDX-License-Identifier: BSD-3-Clause
#include "agent/drive/agent/metrics.h"

#include <fmt/format.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <array>

#include "agent/base/log.h"
#include "agent/base/version.h"
#include "agent/policy/verdict.h"

namespace sallyport {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr std::array<const char*, SP_HOOK_COUNT> kHooks{"from_peer", "to_peer", "port"};

class Page {
 public:
  MetricFamily& family(const char* name, const char* help, MetricType type) {
    families_.push_back({name, help, type, {}});
    return families_.back();
  }
  static void add(MetricFamily& family, std::vector<ClientMetric::Label> labels, double value) {
    ClientMetric metric;
    metric.label = std::move(labels);
    if (family.type == MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
    family.metric.push_back(std::move(metric));
  }
  [[nodiscard]] std::string text() const {
    return prometheus::TextSerializer().Serialize({families_.begin(), families_.end()});
  }

 private:
  std::list<MetricFamily> families_;  // references stay valid
};

void add_verdicts(Page& page, const DataPlane& data_plane) {
  auto& packets =
      page.family("sallyport_packets_total", "packets by hook and verdict", MetricType::Counter);
  auto& bytes =
      page.family("sallyport_bytes_total", "bytes of IP by hook and verdict", MetricType::Counter);
  const auto counts = data_plane.verdicts();
  if (!counts) return;
  for (size_t hook = 0; hook < SP_HOOK_COUNT; ++hook) {
    for (size_t verdict = 0; verdict < SP_VERDICT_COUNT; ++verdict) {
      const sp_count& count = (*counts)[hook][verdict];
      const std::string name(name_of(static_cast<sp_verdict>(verdict)));
      Page::add(packets, {{"hook", kHooks[hook]}, {"verdict", name}},
                static_cast<double>(count.packets));
      Page::add(bytes, {{"hook", kHooks[hook]}, {"verdict", name}},
                static_cast<double>(count.bytes));
    }
  }
}

void add_rules(Page& page, const PolicyDriver& policy, const DataPlane& data_plane) {
  auto& packets = page.family("sallyport_rule_packets_total", "packets that a rule allowed",
                              MetricType::Counter);
  auto& bytes =
      page.family("sallyport_rule_bytes_total", "bytes that a rule allowed", MetricType::Counter);
  uint16_t highest = 0;
  for (const Rule& rule : policy.resolved().rules) highest = std::max(highest, rule.counter);
  const auto hits = data_plane.rule_hits(highest + 1U);
  if (!hits) return;
  for (const Rule& rule : policy.resolved().rules) {
    const sp_rule_hits& count = (*hits)[rule.counter];
    Page::add(packets, {{"rule", rule.id}}, static_cast<double>(count.packets));
    Page::add(bytes, {{"rule", rule.id}}, static_cast<double>(count.bytes));
  }
}

void add_peers(Page& page, const PolicyDriver& policy, DataPlane& data_plane) {
  auto& received = page.family("sallyport_peer_received_bytes_total", "bytes allowed from a peer",
                               MetricType::Counter);
  auto& sent = page.family("sallyport_peer_sent_bytes_total", "bytes allowed to a peer",
                           MetricType::Counter);
  auto& flows = page.family("sallyport_peer_flows", "flows of a peer under way", MetricType::Gauge);
  for (const PolicyNames::Peer& peer : policy.names().peers) {
    const sp_peer& slot = data_plane.peers()[peer.index];
    Page::add(received, {{"peer", peer.name}}, static_cast<double>(slot.rx_bytes));
    Page::add(sent, {{"peer", peer.name}}, static_cast<double>(slot.tx_bytes));
    Page::add(flows, {{"peer", peer.name}}, static_cast<double>(slot.flows));
  }
}

}  // namespace

std::string metrics_page(const Config& config, const PolicyDriver& policy, DataPlane& data_plane) {
  Page page;
  auto& info = page.family("sallyport_info", "what runs here", MetricType::Gauge);
  Page::add(info, {{"version", kVersion}, {"hostname", config.node.hostname}}, 1);
  auto& generation = page.family("sallyport_policy_generation", "number of the policy in force",
                                 MetricType::Gauge);
  Page::add(generation, {{"version", policy.version()}}, static_cast<double>(policy.generation()));
  auto& maps = page.family("sallyport_map_bytes", "kernel memory of all maps", MetricType::Gauge);
  Page::add(maps, {}, static_cast<double>(data_plane.map_bytes()));
  add_verdicts(page, data_plane);
  add_rules(page, policy, data_plane);
  add_peers(page, policy, data_plane);
  return page.text();
}

struct MetricsServer::Client {
  io::Stream stream;
  std::string request;
  bool answered = false;
};

MetricsServer::MetricsServer(io::Loop& loop, std::function<std::string()> page)
    : loop_(loop), page_(std::move(page)) {}

MetricsServer::~MetricsServer() = default;

Result<std::unique_ptr<MetricsServer>> MetricsServer::create(io::Loop& loop, Fd listener,
                                                             std::function<std::string()> page) {
  std::unique_ptr<MetricsServer> server(new MetricsServer(loop, std::move(page)));
  server->listener_ =
      TRY(io::Listener::adopt(loop, std::move(listener), [self = server.get()](Fd connection) {
        self->accept(std::move(connection));
      }));
  return server;
}

void MetricsServer::accept(Fd connection) {
  // A scraper that never speaks must not keep others out: the oldest goes.
  if (clients_.size() >= kMostClients) clients_.pop_front();
  auto client = std::make_unique<Client>();
  Client* self = client.get();
  auto stream = io::Stream::adopt(
      loop_, std::move(connection),
      {.on_data = [this, self](ByteView bytes) { on_data(*self, bytes); },
       .on_end =
           [this, self](const std::optional<Error>&) {
             std::erase_if(clients_, [&](const auto& each) { return each.get() == self; });
           }},
      size_t{16} << 20);
  if (!stream) return;
  client->stream = std::move(*stream);
  clients_.push_back(std::move(client));
}

void MetricsServer::on_data(Client& client, ByteView bytes) {
  if (client.answered) return;
  client.request.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const bool whole = client.request.find("\r\n\r\n") != std::string::npos;
  if (!whole && client.request.size() < kLongestRequest) return;
  client.answered = true;
  std::string body;
  const char* status = "400 Bad Request";
  if (whole && client.request.starts_with("GET ")) {
    status = "200 OK";
    body = page_();
  }
  const std::string answer = fmt::format(
      "HTTP/1.1 {}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n"
      "Connection: close\r\n\r\n{}",
      status, body.size(), body);
  [[maybe_unused]] const io::Offer taken =
      client.stream.write({reinterpret_cast<const uint8_t*>(answer.data()), answer.size()});
  client.stream.shutdown();
}

}  // namespace sallyport
