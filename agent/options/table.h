// SPDX-License-Identifier: BSD-3-Clause
/// Every key of config.yaml, once. The reader, the reference page, `sallyport help config` and the
/// suggestions for misspelt keys all come from this table.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::options {

/// What a key holds. Everything up to kMap is one YAML scalar; scalar.h says how each is written.
enum class Kind : uint8_t {
  kText,
  kLabel,          // letters, digits, hyphens: the name of a peer, group or LAN
  kId,             // as kLabel, and . and _
  kDevice,         // a network device
  kBool,           // true|false, on|off, yes|no
  kChoice,         // one of Option::choices
  kCount,          // Option::least ... Option::most
  kPort,           // 0-65535
  kDuration,       // 2h4m, 90s, 7d
  kSize,           // 256Mi
  kAddress,        // IPv4 or IPv6
  kPrefix,         // host bits clear
  kInterface,      // an address with the length of its network: host bits stay
  kPublicKey,      // base64
  kSecret,         // file:PATH, or the key itself
  kToken,          // file:PATH, or the text itself
  kUrl,            // http://HOST[:PORT] or https://
  kHostPort,       // HOST:PORT
  kHostMaybePort,  // HOST or HOST:PORT
  kListen,         // ADDR:PORT or unix:PATH
  kFwmark,         // VALUE/MASK
  kMember,         // a peer or group:NAME
  kWho,            // an end of a rule
  kProto,          // a name or a number
  kPorts,          // a number or "a-b"
  kWindow,         // "Mon-Fri 08:00-18:00 Europe/Berlin"
  kTime,           // RFC 3339
  kMap,            // the keys below it
  kNamedLists,     // any NAME: a list of items
  kSwitches,       // PREFIX: on|off, any number of them
};

enum class Need : uint8_t {
  kOptional,
  kRequired,
  kStated,  // optional, but writing it without a value would be ambiguous
};

/// Since which version of the program a key is read. kLater: documented, refused for now.
enum class Since : uint8_t { kV01, kLater };

/// One key. `path` is dotted; "[]" behind a component means that it holds a list of such.
struct Option {
  std::string_view path;
  Kind kind = Kind::kText;
  Need need = Need::kOptional;
  std::string_view fallback = {};  // the default as it would be written; empty: none
  std::string_view help = {};      // one line
  std::string_view example = {};   // a value
  std::string_view choices = {};   // kChoice: "a|b|c"
  std::string_view later = {};     // choices that are documented, not in this version
  uint64_t least = 0;              // kCount; kDuration in s
  uint64_t most = UINT64_MAX;
  std::string_view unit = {};  // kCount: what is counted
  Since since = Since::kV01;

  [[nodiscard]] constexpr bool is_list() const { return path.ends_with("[]"); }
  /// The last component without "[]": the key as it is written.
  [[nodiscard]] constexpr std::string_view name() const {
    const auto plain = is_list() ? path.substr(0, path.size() - 2) : path;
    const auto dot = plain.rfind('.');
    return dot == std::string_view::npos ? plain : plain.substr(dot + 1);
  }
  /// The path of the map that it is in; "" is the top.
  [[nodiscard]] constexpr std::string_view parent() const {
    const auto dot = path.rfind('.');
    return dot == std::string_view::npos ? std::string_view{} : path.substr(0, dot);
  }
};

inline constexpr uint64_t kMonthS = 30 * 86400;

// `ceiling[]` has the keys of `rules[]`: see children().
inline constexpr Option kOptions[] = {
    // clang-format off: a row a key
    {.path = "version", .kind = Kind::kCount, .need = Need::kRequired, .help = "Form of this file.",
     .example = "1", .least = 1, .most = 1},

    {.path = "node", .kind = Kind::kMap, .help = "This gateway."},
    {.path = "node.hostname", .kind = Kind::kLabel, .fallback = "the machine's own",
     .help = "What peers and the status page call this gateway.", .example = "gate"},
    {.path = "node.tags[]", .kind = Kind::kLabel,
     .help = "Tags that this node asks a control server for.", .example = "gateway",
     .since = Since::kLater},
    {.path = "node.device", .kind = Kind::kDevice, .fallback = "sallyport0",
     .help = "Name of the WireGuard device, which is ours alone.", .example = "sallyport0"},
    {.path = "node.wg_port", .kind = Kind::kPort, .fallback = "0",
     .help = "UDP port of WireGuard; 0 chooses one at first start and keeps it.",
     .example = "51820"},
    {.path = "node.addresses[]", .kind = Kind::kInterface,
     .help = "Our own addresses on the WireGuard device, with the length of the peers' network.",
     .example = "10.90.0.1/24"},
    {.path = "node.private_key", .kind = Kind::kSecret, .fallback = "made at first start",
     .help = "WireGuard's private key. A file that does not exist is made at first start.",
     .example = "file:/etc/sallyport/private.key"},
    {.path = "node.public_endpoint", .kind = Kind::kHostMaybePort,
     .help = "Where clients find us, for what `sallyport peer add` prints.",
     .example = "vpn.example.org:51820"},
    {.path = "node.dns[]", .kind = Kind::kAddress,
     .help = "Name servers of clients, for what `sallyport peer add` prints.",
     .example = "192.168.1.1"},
    {.path = "node.deny", .kind = Kind::kChoice, .fallback = "reject",
     .help = "Whether the sender of a denied packet hears of it (RST, ICMP) or not.",
     .example = "drop", .choices = "reject|drop"},

    {.path = "dataplane", .kind = Kind::kMap, .help = "The packets' way through the kernel."},
    {.path = "dataplane.fast_path", .kind = Kind::kChoice, .fallback = "auto",
     .help = "Forward known flows past the stack.", .example = "on", .choices = "auto|on|off",
     .since = Since::kLater},
    {.path = "dataplane.coalesce", .kind = Kind::kChoice, .fallback = "auto",
     .help = "Let decrypted packets merge.", .example = "on", .choices = "auto|on|off",
     .since = Since::kLater},
    {.path = "dataplane.shield", .kind = Kind::kChoice, .fallback = "auto",
     .help = "Drop junk from the WAN in XDP.", .example = "native",
     .choices = "auto|native|generic|off", .since = Since::kLater},
    {.path = "dataplane.flows", .kind = Kind::kCount, .fallback = "65536",
     .help = "How many flows are remembered at once.", .example = "262144", .least = 64,
     .most = 1U << 24, .unit = "flows"},
    {.path = "dataplane.flows_per_peer", .kind = Kind::kCount, .fallback = "0",
     .help = "How many of them one peer may have; 0 is an eighth of all.", .example = "4096",
     .most = 1U << 24, .unit = "flows"},
    {.path = "dataplane.timeouts", .kind = Kind::kMap,
     .help = "How long a flow without packets is remembered."},
    {.path = "dataplane.timeouts.tcp", .kind = Kind::kDuration, .fallback = "2h4m",
     .help = "An open TCP connection (RFC 5382 asks for 2 h 4 min at least).", .example = "8h",
     .least = 1, .most = kMonthS},
    {.path = "dataplane.timeouts.tcp_opening", .kind = Kind::kDuration, .fallback = "60s",
     .help = "A TCP connection before its handshake is done.", .example = "30s", .least = 1,
     .most = kMonthS},
    {.path = "dataplane.timeouts.tcp_closing", .kind = Kind::kDuration, .fallback = "60s",
     .help = "A TCP connection after FIN or RST.", .example = "10s", .least = 1, .most = kMonthS},
    {.path = "dataplane.timeouts.udp", .kind = Kind::kDuration, .fallback = "3m", .help = "UDP.",
     .example = "5m", .least = 1, .most = kMonthS},
    {.path = "dataplane.timeouts.icmp", .kind = Kind::kDuration, .fallback = "30s",
     .help = "ICMP echo.", .example = "10s", .least = 1, .most = kMonthS},
    {.path = "dataplane.timeouts.other", .kind = Kind::kDuration, .fallback = "2m",
     .help = "SCTP, ESP, GRE and every other protocol.", .example = "10m", .least = 1,
     .most = kMonthS},
    {.path = "dataplane.memory", .kind = Kind::kSize, .fallback = "64Mi",
     .help = "Bound of all kernel tables.", .example = "256Mi", .since = Since::kLater},
    {.path = "dataplane.table", .kind = Kind::kCount, .fallback = "5300",
     .help = "Our routing table. 253-255 are the system's.", .example = "5400", .least = 1,
     .most = UINT32_MAX},
    {.path = "dataplane.priority", .kind = Kind::kCount, .fallback = "5300",
     .help = "Priority of our first routing rule (ip rule); the last is 90 behind it.",
     .example = "5400", .least = 1, .most = 32765 - 90},
    {.path = "dataplane.fwmark", .kind = Kind::kFwmark, .fallback = "0x80000/0xff0000",
     .help = "Mark of our own packets, and the bits of the mark that are ours.",
     .example = "0x40000/0xff0000"},

    {.path = "metrics", .kind = Kind::kListen,
     .help = "Where Prometheus may scrape, besides RUN/metrics.sock.", .example = "127.0.0.1:9586"},

    {.path = "join", .kind = Kind::kMap,
     .help = "The tailnet that this gateway is a member of. What `sallyport up` and `set` say is "
             "kept in prefs.json of the state directory; a key that is written here wins."},
    {.path = "join.url", .kind = Kind::kUrl, .need = Need::kRequired, .help = "Control server.",
     .example = "https://control.example.org"},
    {.path = "join.auth_key", .kind = Kind::kToken,
     .help = "Key to log in with; absent: a person does, at the page that `sallyport up` names.",
     .example = "file:/etc/sallyport/auth.key"},
    {.path = "join.advertise_routes[]", .kind = Kind::kPrefix,
     .help = "LANs offered to the tailnet.", .example = "192.168.1.0/24"},
    {.path = "join.advertise_exit_node", .kind = Kind::kBool, .fallback = "false",
     .help = "Offer the way to the internet.", .example = "true"},
    {.path = "join.accept_routes", .kind = Kind::kBool, .fallback = "false",
     .help = "Use the LANs that others offer.", .example = "true"},
    {.path = "join.snat", .kind = Kind::kSwitches,
     .help = "For each offered LAN: do its hosts see our address (on, the default) or the peer's?",
     .example = "192.168.1.0/24: off"},
    {.path = "join.snat_subnet_routes", .kind = Kind::kBool, .fallback = "true",
     .help = "What holds for offered LANs that join.snat does not name.", .example = "off"},
    {.path = "join.ca", .kind = Kind::kText, .fallback = "the system's",
     .help = "File of the certificates that control server and relays are checked against.",
     .example = "/etc/sallyport/ca.pem"},
    {.path = "join.max_netmap_age", .kind = Kind::kDuration, .fallback = "7d",
     .help = "How long the last netmap serves without the control server.", .example = "1d",
     .least = 60, .most = 12 * kMonthS},

    {.path = "peers[]", .kind = Kind::kMap,
     .help = "Plain WireGuard clients and gateways. Files in peers.d/ are read with them."},
    {.path = "peers[].name", .kind = Kind::kLabel, .need = Need::kRequired,
     .help = "What rules call it.", .example = "alice-laptop"},
    {.path = "peers[].public_key", .kind = Kind::kPublicKey, .need = Need::kRequired,
     .help = "Its WireGuard public key.",
     .example = "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw="},
    {.path = "peers[].allowed_ips[]", .kind = Kind::kPrefix, .need = Need::kRequired,
     .help = "Addresses it may use, and which are routed to it. No two peers have the same "
             "prefix; a longer one inside another's wins.", .example = "10.90.0.2/32"},
    {.path = "peers[].endpoint", .kind = Kind::kHostPort,
     .help = "Where it is found; absent: learnt from its packets.",
     .example = "branch.example.org:51820"},
    {.path = "peers[].preshared_key", .kind = Kind::kSecret,
     .help = "Symmetric key mixed into the handshake.", .example = "file:/etc/sallyport/alice.psk"},
    {.path = "peers[].keepalive", .kind = Kind::kDuration, .fallback = "0s",
     .help = "A packet that often, so that a NAT in between stays open; 0 sends none.",
     .example = "25s", .most = 65535},

    {.path = "groups", .kind = Kind::kNamedLists,
     .help = "NAME: [peer names and group:NAME], for rules."},
    {.path = "groups.NAME[]", .kind = Kind::kMember, .help = "Peers and groups that belong to it.",
     .example = "alice-laptop"},

    {.path = "lan[]", .kind = Kind::kMap, .help = "The networks that peers may reach."},
    {.path = "lan[].name", .kind = Kind::kLabel, .need = Need::kRequired,
     .help = "What rules call it.", .example = "office"},
    {.path = "lan[].prefix", .kind = Kind::kPrefix, .need = Need::kRequired,
     .help = "Its addresses.", .example = "192.168.1.0/24"},
    {.path = "lan[].device", .kind = Kind::kDevice, .fallback = "the device that has a route to it",
     .help = "The device it is on. A default route is no route to it: a LAN that is reached by none "
             "other is named here.", .example = "eth1"},
    {.path = "lan[].snat", .kind = Kind::kBool, .fallback = "on",
     .help = "Whether its hosts see the gateway's address instead of the peer's. With off they "
             "need a route to the peers.", .example = "off"},
    {.path = "lan[].advertise_as", .kind = Kind::kPrefix,
     .help = "Other addresses under which peers reach it.", .example = "10.200.1.0/24",
     .since = Since::kLater},
    {.path = "lan[].probe[]", .kind = Kind::kAddress, .help = "Hosts whose answers prove it.",
     .example = "192.168.1.1", .since = Since::kLater},

    {.path = "exit", .kind = Kind::kMap, .need = Need::kStated,
     .help = "The way to the internet, for rules with `to: [exit]`."},
    {.path = "exit.ipv4", .kind = Kind::kBool, .fallback = "true", .help = "IPv4, masqueraded.",
     .example = "false"},
    {.path = "exit.ipv6", .kind = Kind::kChoice, .fallback = "off",
     .help = "IPv6: masqueraded or not at all.", .example = "nat", .choices = "nat|off",
     .later = "delegated"},
    {.path = "exit.device[]", .kind = Kind::kDevice, .fallback = "those with a default route",
     .help = "The devices of the WAN.", .example = "eth0"},

    {.path = "rules[]", .kind = Kind::kMap,
     .help = "What may go where. All rules allow; what none allows is denied."},
    {.path = "rules[].id", .kind = Kind::kId, .fallback = "rule-N by position",
     .help = "Its name in counters, `explain` and `drops`.", .example = "office-web"},
    {.path = "rules[].from[]", .kind = Kind::kWho, .need = Need::kRequired,
     .help = "Who begins: peers, group:NAME, LANs, lan, exit, self, addresses, prefixes, ranges, "
             "or *.", .example = "group:staff"},
    {.path = "rules[].to[]", .kind = Kind::kWho, .need = Need::kRequired,
     .help = "Where to: as in `from`.", .example = "office"},
    {.path = "rules[].proto[]", .kind = Kind::kProto,
     .fallback = "tcp, udp and icmp of both families",
     .help = "Protocols: tcp, udp, icmp, icmpv6, sctp, esp, gre, or a number.", .example = "tcp"},
    {.path = "rules[].ports[]", .kind = Kind::kPorts, .fallback = "all",
     .help = "Destination ports; only with tcp, udp and sctp.", .example = "8000-8080"},
    {.path = "rules[].when[]", .kind = Kind::kWindow, .fallback = "always",
     .help = "Open only then: [DAYS] HH:MM-HH:MM ZONE. May cross midnight.",
     .example = "Mon-Fri 08:00-18:00 Europe/Berlin"},
    {.path = "rules[].not_before", .kind = Kind::kTime, .help = "Closed before.",
     .example = "2026-01-31T08:00:00Z"},
    {.path = "rules[].not_after", .kind = Kind::kTime, .help = "Closed from then on.",
     .example = "2026-12-31T23:59:59+01:00"},
    {.path = "rules[].limit", .help = "Bandwidth.", .example = "20Mbit", .since = Since::kLater},

    {.path = "ceiling[]", .kind = Kind::kMap, .need = Need::kStated,
     .help = "The most that any rule, a control server's included, may open: keys as in `rules`. "
             "Absent: no bound. []: nothing is open."},

    {.path = "ports", .kind = Kind::kMap, .help = "Roles of the appliance's network ports.",
     .since = Since::kLater},

    {.path = "coordinator", .kind = Kind::kMap, .help = "Host a tailnet.", .since = Since::kLater},
    {.path = "coordinator.url", .help = "Where clients log in.",
     .example = "https://control.example.org", .since = Since::kLater},
    {.path = "coordinator.http", .kind = Kind::kListen, .help = "Plain HTTP.",
     .example = "0.0.0.0:80", .since = Since::kLater},
    {.path = "coordinator.https", .kind = Kind::kListen, .help = "HTTPS.", .example = "0.0.0.0:443",
     .since = Since::kLater},
    {.path = "coordinator.cert", .help = "Certificate file.", .example = "/etc/sallyport/tls.pem",
     .since = Since::kLater},
    {.path = "coordinator.key", .help = "Its key file.", .example = "/etc/sallyport/tls.key",
     .since = Since::kLater},
    {.path = "coordinator.base_domain", .help = "Domain of the nodes' names.",
     .example = "net.example.org", .since = Since::kLater},
    {.path = "coordinator.ipv4", .kind = Kind::kPrefix, .help = "IPv4 addresses of nodes.",
     .example = "100.64.0.0/10", .since = Since::kLater},
    {.path = "coordinator.ipv6", .kind = Kind::kPrefix, .help = "IPv6 addresses of nodes.",
     .example = "fd7a:115c:a1e0::/48", .since = Since::kLater},
    {.path = "coordinator.policy", .help = "Policy file.",
     .example = "/etc/sallyport/policy.hujson", .since = Since::kLater},
    {.path = "coordinator.derp_map", .help = "DERP map file.",
     .example = "/etc/sallyport/derp.json", .since = Since::kLater},
    {.path = "coordinator.device_approval", .kind = Kind::kBool, .fallback = "false",
     .help = "New nodes wait for approval.", .example = "true", .since = Since::kLater},
    {.path = "coordinator.oidc", .kind = Kind::kMap, .help = "Log in with an identity provider.",
     .since = Since::kLater},
    {.path = "coordinator.oidc.issuer", .help = "Its URL.", .example = "https://id.example.org",
     .since = Since::kLater},
    {.path = "coordinator.oidc.client_id", .help = "Our name there.", .example = "sallyport",
     .since = Since::kLater},
    {.path = "coordinator.oidc.client_secret", .kind = Kind::kSecret, .help = "Our secret there.",
     .example = "file:/etc/sallyport/oidc.secret", .since = Since::kLater},
    {.path = "coordinator.oidc.groups_claim", .help = "Claim that lists a user's groups.",
     .example = "groups", .since = Since::kLater},
    {.path = "coordinator.oidc.allowed_domains[]", .help = "Mail domains that may log in.",
     .example = "example.org", .since = Since::kLater},

    {.path = "relay", .kind = Kind::kMap, .help = "Be a DERP relay and STUN server.",
     .since = Since::kLater},
    {.path = "relay.derp", .kind = Kind::kListen, .help = "DERP.", .example = "0.0.0.0:443",
     .since = Since::kLater},
    {.path = "relay.stun", .kind = Kind::kListen, .help = "STUN.", .example = "0.0.0.0:3478",
     .since = Since::kLater},
    {.path = "relay.host_name", .help = "Name in the DERP map.", .example = "derp.example.org",
     .since = Since::kLater},
    {.path = "relay.cert", .help = "Certificate file, or self.", .example = "self",
     .since = Since::kLater},
    {.path = "relay.key", .help = "Its key file.", .example = "/etc/sallyport/derp.key",
     .since = Since::kLater},
    {.path = "relay.admit", .help = "Who may use it: open, file:, unix: or https:.",
     .example = "open", .since = Since::kLater},
    {.path = "relay.mesh_key", .kind = Kind::kSecret, .help = "Shared with the other relays.",
     .example = "file:/etc/sallyport/mesh.key", .since = Since::kLater},
    {.path = "relay.udp_relay", .kind = Kind::kListen, .help = "UDP relay for peers.",
     .example = "0.0.0.0:40000", .since = Since::kLater},
    // clang-format on
};

/// The row of this path, or nothing. "ceiling[].x" is "rules[].x".
const Option* find_option(std::string_view path);
/// The keys of one map, in the table's order; "" is the top. "ceiling[]" has those of "rules[]".
std::vector<const Option*> children(std::string_view path);
/// What the value of a key must look like: "a prefix such as 10.90.0.2/32". For one item of a list.
std::string expected_text(const Option& option);
/// A value as it would be written behind the key: "[10.90.0.2/32]", "[\"group:staff\"]".
std::string example_text(const Option& option);
/// The type's short name in the reference page: "prefix", "list of prefixes", "on|off".
std::string type_text(const Option& option);

}  // namespace sallyport::options
