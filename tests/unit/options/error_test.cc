// SPDX-License-Identifier: BSD-3-Clause
/// One row a mistake: what is written, and every word that is said about it.
#include "tests/unit/options/reader.h"

namespace sallyport::options {
namespace {

/// Plain literals, since a hundred std::string are minutes of compiling.
struct Row {
  const char* about;
  const char* text;
  const char* said;  // a line each
};

void PrintTo(const Row& row, std::ostream* out) { *out << row.about; }

#define KEY_A "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw="
#define KEY_B "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
#define PEER_A "  - {name: a, public_key: " KEY_A

constexpr Row kShape[] = {
    {"empty file", "", "c.yaml:1:1: the file is empty (the least that is valid is \"version: 1\")"},
    {"only a comment", "# nothing\n",
     "c.yaml:1:1: the file is empty (the least that is valid is \"version: 1\")"},
    {"null document", "---\n~\n",
     "c.yaml:1:1: the file is empty (the least that is valid is \"version: 1\")"},
    {"a list", "- a\n", "c.yaml:1:1: the file is a list, expected a map of keys"},
    {"a scalar", "hello\n", "c.yaml:1:1: the file is \"hello\", expected a map of keys"},
    {"no version", "node: {}\n", "c.yaml:1:1: key \"version\" is missing (such as version: 1)"},
    {"other version", "version: 2\n", "c.yaml:1:10: version is \"2\", expected 1"},
    {"version is a list", "version: [1]\n", "c.yaml:1:10: version is a list, expected 1"},
    {"two documents", "version: 1\n---\nversion: 1\n",
     "c.yaml:3:1: a second document begins here (one file holds one document)"},
    {"not UTF-8", "version: 1\nnode: {hostname: \xff}\n", "c.yaml:2:18: this byte is not UTF-8"},
    {"overlong UTF-8", "version: 1\n# \xc0\xaf\n", "c.yaml:2:3: this byte is not UTF-8"},
    {"control character", "version: 1\nnode: {hostname: \"a\x1b[2J\"}\n",
     "c.yaml:2:20: this control character is not allowed in text"},
    {"UTF-16", "\xff\xfev", "c.yaml:1:1: this byte is not UTF-8"},
    {"syntax: bracket", "version: 1\nnode: {hostname: a\n",
     "c.yaml:3:1: not valid YAML: end of map flow not found"},
    {"syntax: tab", "version: 1\nnode:\n\thostname: a\n",
     "c.yaml:3:10: not valid YAML: illegal map value (line 3 is indented with a tab, YAML wants "
     "spaces)"},
    {"syntax: indentation", "version: 1\nnode:\n  hostname: a\n deny: drop\n",
     "c.yaml:4:2: not valid YAML: end of map not found (is this line indented as its neighbours "
     "are?)"},
    {"syntax: quote", "version: 1\nmetrics: \"127.0.0.1:1\n",
     "c.yaml:2:10: metrics is \"127.0.0.1:1 \", expected ADDRESS:PORT or unix:PATH such as "
     "127.0.0.1:9586"},
    {"tag", "version: !!int 1\n",
     "c.yaml:1:10: tags are not understood: \"tag:yaml.org,2002:int\""},
    {"key that is a list", "version: 1\n? [a]\n: b\n", "c.yaml:2:3: a key must be text"},
    {"unknown alias", "version: 1\nmetrics: *nobody\n",
     "c.yaml:2:10: not valid YAML: the referenced anchor is not defined"},
    {"alias of itself", "version: 1\ngroups: &g {a: *g}\n",
     "c.yaml:2:16: this alias contains itself"},
    {"merge key", "version: 1\nnode: &n {}\ndataplane: {<<: *n}\n",
     "c.yaml:3:13: unknown key \"<<\" in dataplane (merging is not understood; repeat the alias "
     "where it is needed)"},
};

constexpr Row kKeys[] = {
    {"unknown key, near one known", "version: 1\nnode:\n  hostnmae: gate\n",
     "c.yaml:3:3: unknown key \"hostnmae\" in node (did you mean \"hostname\"?)"},
    {"unknown key of a peer", "version: 1\npeers:\n" PEER_A ", allowed_ip: [10.0.0.2/32]}\n",
     "c.yaml:3:5: key \"allowed_ips\" is missing (such as allowed_ips: [10.90.0.2/32])\n"
     "c.yaml:3:73: unknown key \"allowed_ip\" in peers[] (did you mean \"allowed_ips\"?)"},
    {"unknown key at the top", "version: 1\nlans: []\n",
     "c.yaml:2:1: unknown key \"lans\" (did you mean \"lan\"?)"},
    {"unknown key that belongs elsewhere", "version: 1\nkeepalive: 25s\n",
     "c.yaml:2:1: unknown key \"keepalive\" (\"keepalive\" belongs in peers[])"},
    {"unknown key near nothing", "version: 1\nexit: {frobnicate: 1}\n",
     "c.yaml:2:8: unknown key \"frobnicate\" in exit (known here: ipv4, ipv6, device)"},
    {"unknown key with control characters", "version: 1\n\"a\\nb\\e\": 1\n",
     "c.yaml:2:1: unknown key \"a\\x0ab\\x1b\" (known here: version, node, dataplane, metrics, "
     "join, peers, groups, lan, exit, rules, ceiling)"},
    {"very long unknown key",
     "version: 1\n? "
     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
     "xxxxxxx\n: 1\n",
     "c.yaml:2:3: unknown key \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"... "
     "(known here: version, node, dataplane, metrics, join, peers, groups, lan, exit, rules, "
     "ceiling)"},
    {"unknown key of the ceiling", "version: 1\nceiling: [{from: ['*'], to: [lan], port: [1]}]\n",
     "c.yaml:2:36: unknown key \"port\" in ceiling[] (did you mean \"ports\"?)"},
    {"duplicate key", "version: 1\nnode: {hostname: a}\nnode: {hostname: b}\n",
     "c.yaml:3:1: key \"node\" is given twice (first in line 2)"},
    {"later section", "version: 1\nrelay: {derp: ':443'}\n",
     "c.yaml:2:1: key \"relay\" is not in this version"},
    {"join without a server", "version: 1\njoin: {accept_routes: on}\n",
     "c.yaml:2:7: key \"url\" is missing (such as url: https://control.example.org)"},
    {"no URL", "version: 1\njoin: {url: control.example.org}\n",
     "c.yaml:2:13: url is \"control.example.org\", expected http://HOST[:PORT] or "
     "https://HOST[:PORT]"},
    {"join's routes",
     "version: 1\njoin: {url: 'https://a', advertise_routes: [0.0.0.0/0, 10.1.0.0/16],\n"
     "  snat: {10.2.0.0/16: off, 10.1.0.0/16: maybe}}\n",
     "c.yaml:2:45: route \"0.0.0.0/0\" is everything, not a LAN (the way to the internet is "
     "advertise_exit_node)\nc.yaml:3:10: snat of \"10.2.0.0/16\", which is no route of ours "
     "(advertise_routes names them)\nc.yaml:3:28: an entry of snat is \"10.1.0.0/16: maybe\", "
     "expected PREFIX: on or off, such as "
     "192.168.1.0/24: off"},
    {"later keys",
     "version: 1\nnode: {tags: [a]}\ndataplane: {fast_path: on}\nlan: [{name: o, prefix: "
     "10.1.0.0/16, probe: []}]\n",
     "c.yaml:2:8: key \"tags\" is not in this version\n"
     "c.yaml:3:13: key \"fast_path\" is not in this version\n"
     "c.yaml:4:38: key \"probe\" is not in this version"},
    {"later choice", "version: 1\nexit: {ipv6: delegated}\n",
     "c.yaml:2:14: ipv6 is \"delegated\", expected nat or off (\"delegated\" is not in this "
     "version)"},
    {"later: limit", "version: 1\nrules: [{from: ['*'], to: [lan], limit: 1Mbit}]\n",
     "c.yaml:2:34: key \"limit\" is not in this version"},
    {"missing keys", "version: 1\npeers:\n  - {}\nlan:\n  - {}\nrules:\n  - {}\n",
     "c.yaml:3:5: key \"name\" is missing (such as name: alice-laptop)\n"
     "c.yaml:3:5: key \"public_key\" is missing (such as public_key: "
     "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=)\n"
     "c.yaml:3:5: key \"allowed_ips\" is missing (such as allowed_ips: [10.90.0.2/32])\n"
     "c.yaml:5:5: key \"name\" is missing (such as name: office)\n"
     "c.yaml:5:5: key \"prefix\" is missing (such as prefix: 192.168.1.0/24)\n"
     "c.yaml:7:5: key \"from\" is missing (such as from: [\"group:staff\"])\n"
     "c.yaml:7:5: key \"to\" is missing (such as to: [office])"},
    {"stated: exit", "version: 1\nexit:\n",
     "c.yaml:2:1: exit is nothing, expected a map of keys; {} takes the defaults"},
    {"stated: ceiling", "version: 1\nceiling:\n",
     "c.yaml:2:1: ceiling is nothing, expected a list of maps; [] is nothing"},
};

constexpr Row kTypes[] = {
    {"text for a map", "version: 1\nnode: gate\n",
     "c.yaml:2:7: node is \"gate\", expected a map of keys"},
    {"list for a map", "version: 1\nnode: [gate]\n",
     "c.yaml:2:7: node is a list, expected a map of keys"},
    {"text for a list", "version: 1\nnode: {dns: 192.168.1.1}\n",
     "c.yaml:2:13: dns is \"192.168.1.1\", expected a list such as [192.168.1.1]"},
    {"map for a list of maps", "version: 1\npeers: {a: b}\n",
     "c.yaml:2:8: peers is a map, expected a list of maps"},
    {"text in a list of maps", "version: 1\nrules: [allow-all]\n",
     "c.yaml:2:9: an item of rules is \"allow-all\", expected a map of keys"},
    {"list for text", "version: 1\nmetrics: [a]\n",
     "c.yaml:2:10: metrics is a list, expected ADDRESS:PORT or unix:PATH such as 127.0.0.1:9586"},
    {"nothing for text", "version: 1\nnode:\n  hostname:\n  deny: drop\n",
     "c.yaml:3:3: hostname is nothing, expected a name of letters, digits and inner hyphens, at "
     "most 63"},
    {"empty from", "version: 1\nrules: [{from: [], to: [lan]}]\n",
     "c.yaml:2:16: from is empty, expected a list such as [\"group:staff\"]"},
    {"groups as a list", "version: 1\ngroups: [a]\n",
     "c.yaml:2:9: groups is a list, expected a map of NAME: [...]"},
    {"group as text", "version: 1\ngroups: {staff: a}\n",
     "c.yaml:2:17: staff is \"a\", expected a list such as [alice-laptop]"},
};

constexpr Row kValues[] = {
    {"hostname", "version: 1\nnode: {hostname: my_gate}\n",
     "c.yaml:2:18: hostname is \"my_gate\", expected a name of letters, digits and inner hyphens, "
     "at most 63"},
    {"device too long", "version: 1\nnode: {device: sallyport-device}\n",
     "c.yaml:2:16: device is \"sallyport-device\", expected the name of a network device, at most "
     "15 characters"},
    {"device with a slash", "version: 1\nnode: {device: a/b}\n",
     "c.yaml:2:16: device is \"a/b\", expected the name of a network device, at most 15 "
     "characters"},
    {"wg_port", "version: 1\nnode: {wg_port: 70000}\n",
     "c.yaml:2:17: wg_port is \"70000\", expected a port number, 0-65535"},
    {"wg_port octal", "version: 1\nnode: {wg_port: 0123}\n",
     "c.yaml:2:17: wg_port is \"0123\", expected a port number, 0-65535"},
    {"address that is a network", "version: 1\nnode: {addresses: [10.90.0.0/24]}\n",
     "c.yaml:2:20: addresses is \"10.90.0.0/24\", expected an address with the length of its "
     "network such as 10.90.0.1/24 (this is the network itself; an address in it is 10.90.0.1/24)"},
    {"address that is none", "version: 1\nnode: {addresses: [10.90.0.300/24]}\n",
     "c.yaml:2:20: addresses is \"10.90.0.300/24\", expected an address with the length of its "
     "network such as 10.90.0.1/24"},
    {"private key", "version: 1\nnode: {private_key: hunter2}\n",
     "c.yaml:2:21: private_key is not understood, expected file:PATH or a WireGuard key, 44 "
     "characters of base64"},
    {"private key as a path", "version: 1\nnode: {private_key: /etc/key}\n",
     "c.yaml:2:21: private_key is not understood, expected file:PATH or a WireGuard key, 44 "
     "characters of base64 (a file is written as file:PATH)"},
    {"public_endpoint", "version: 1\nnode: {public_endpoint: 'vpn.example.org:99999'}\n",
     "c.yaml:2:25: public_endpoint is \"vpn.example.org:99999\", expected HOST or HOST:PORT such "
     "as vpn.example.org:51820"},
    {"dns", "version: 1\nnode: {dns: [dns.example.org]}\n",
     "c.yaml:2:14: dns is \"dns.example.org\", expected an IPv4 or IPv6 address such as "
     "192.168.1.1"},
    {"deny", "version: 1\nnode: {deny: refuse}\n",
     "c.yaml:2:14: deny is \"refuse\", expected reject or drop"},
    {"flows", "version: 1\ndataplane: {flows: 10}\n",
     "c.yaml:2:20: flows is \"10\", expected a number of flows, 64-16777216"},
    {"flows as text", "version: 1\ndataplane: {flows: many}\n",
     "c.yaml:2:20: flows is \"many\", expected a number of flows, 64-16777216"},
    {"timeout", "version: 1\ndataplane: {timeouts: {udp: 0s, tcp: 2x, icmp: 1m1m}}\n",
     "c.yaml:2:29: udp is \"0s\", expected a duration such as 5m, 1 s to 2592000 s\n"
     "c.yaml:2:38: tcp is \"2x\", expected a duration such as 8h, 1 s to 2592000 s\n"
     "c.yaml:2:48: icmp is \"1m1m\", expected a duration such as 10s, 1 s to 2592000 s"},
    {"fwmark", "version: 1\ndataplane: {fwmark: 0x80000}\n",
     "c.yaml:2:21: fwmark is \"0x80000\", expected VALUE/MASK, the value not 0 and within the mask "
     "such as 0x40000/0xff0000 (the mask is missing)"},
    {"fwmark outside of its mask", "version: 1\ndataplane: {fwmark: 0x1/0x2}\n",
     "c.yaml:2:21: fwmark is \"0x1/0x2\", expected VALUE/MASK, the value not 0 and within the mask "
     "such as 0x40000/0xff0000"},
    {"metrics", "version: 1\nmetrics: localhost\n",
     "c.yaml:2:10: metrics is \"localhost\", expected ADDRESS:PORT or unix:PATH such as "
     "127.0.0.1:9586"},
    {"metrics: relative socket", "version: 1\nmetrics: unix:m.sock\n",
     "c.yaml:2:10: metrics is \"unix:m.sock\", expected ADDRESS:PORT or unix:PATH such as "
     "127.0.0.1:9586 (a socket's path begins with / and has at most 107 bytes)"},
    {"peer's name",
     "version: 1\npeers: [{name: a b, public_key: " KEY_A ", allowed_ips: [10.0.0.2]}]\n",
     "c.yaml:2:16: name is \"a b\", expected a name of letters, digits and inner hyphens, at most "
     "63"},
    {"public key", "version: 1\npeers: [{name: a, public_key: abc=, allowed_ips: [10.0.0.2]}]\n",
     "c.yaml:2:31: public_key is \"abc=\", expected a WireGuard key, 44 characters of base64"},
    {"public key of zeros",
     "version: 1\npeers: [{name: a, public_key: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=, "
     "allowed_ips: [10.0.0.2]}]\n",
     "c.yaml:2:31: public_key is \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\", expected a "
     "WireGuard key, 44 characters of base64 (a key of zeros is nobody's)"},
    {"host bits", "version: 1\npeers:\n" PEER_A ", allowed_ips: [10.0.0.5/24]}\n",
     "c.yaml:3:87: allowed_ips is \"10.0.0.5/24\", expected a prefix such as 10.90.0.2/32 (bits "
     "behind the /24 are set: did you mean 10.0.0.0/24 or 10.0.0.5?)"},
    {"host bits of IPv6", "version: 1\nlan: [{name: o, prefix: 'fd00::1/64'}]\n",
     "c.yaml:2:25: prefix is \"fd00::1/64\", expected a prefix such as 192.168.1.0/24 (bits behind "
     "the /64 are set: did you mean fd00::/64 or fd00::1?)"},
    {"prefix too long", "version: 1\nlan: [{name: o, prefix: 10.0.0.0/33}]\n",
     "c.yaml:2:25: prefix is \"10.0.0.0/33\", expected a prefix such as 192.168.1.0/24"},
    {"endpoint without port",
     "version: 1\npeers:\n" PEER_A ", allowed_ips: [10.0.0.2], endpoint: a.example.org}\n",
     "c.yaml:3:108: endpoint is \"a.example.org\", expected HOST:PORT such as "
     "branch.example.org:51820 (the port is missing)"},
    {"endpoint with port 0",
     "version: 1\npeers:\n" PEER_A ", allowed_ips: [10.0.0.2], endpoint: 'a:0'}\n",
     "c.yaml:3:108: endpoint is \"a:0\", expected HOST:PORT such as branch.example.org:51820"},
    {"endpoint, bare IPv6",
     "version: 1\npeers:\n" PEER_A ", allowed_ips: [10.0.0.2], endpoint: 'fd00::1:51820'}\n",
     "c.yaml:3:108: endpoint is \"fd00::1:51820\", expected HOST:PORT such as "
     "branch.example.org:51820 (an IPv6 address goes in brackets)"},
    {"preshared key",
     "version: 1\npeers:\n" PEER_A ", allowed_ips: [10.0.0.2], preshared_key: 'file:'}\n",
     "c.yaml:3:113: preshared_key is not understood, expected file:PATH or a WireGuard key, 44 "
     "characters of base64 (the path is missing)"},
    {"keepalive", "version: 1\npeers:\n" PEER_A ", allowed_ips: [10.0.0.2], keepalive: 1d}\n",
     "c.yaml:3:109: keepalive is \"1d\", expected a duration such as 25s, 0 s to 65535 s"},
    {"snat", "version: 1\nlan: [{name: o, prefix: 10.0.0.0/8, snat: maybe}]\n",
     "c.yaml:2:43: snat is \"maybe\", expected on or off"},
    {"group's name", "version: 1\ngroups: {my group: []}\n",
     "c.yaml:2:10: name \"my group\" is not good, expected a name of letters, digits and inner "
     "hyphens, at most 63"},
    {"member", "version: 1\ngroups: {staff: [10.0.0.1]}\n",
     "c.yaml:2:18: staff is \"10.0.0.1\", expected the name of a peer, or group:NAME"},
    {"id", "version: 1\nrules: [{id: a b, from: ['*'], to: [lan]}]\n",
     "c.yaml:2:14: id is \"a b\", expected a name of letters, digits, '-', '_' and '.', at most "
     "63"},
    {"from: prefix with host bits", "version: 1\nrules: [{from: [10.0.0.5/24], to: [lan]}]\n",
     "c.yaml:2:17: from is \"10.0.0.5/24\", expected a peer, group:NAME, LAN, lan, exit, self, "
     "address, prefix, range or * (bits behind the /24 are set: did you mean 10.0.0.0/24 or "
     "10.0.0.5?)"},
    {"from: range downwards", "version: 1\nrules: [{from: [10.0.0.5-10.0.0.1], to: [lan]}]\n",
     "c.yaml:2:17: from is \"10.0.0.5-10.0.0.1\", expected a peer, group:NAME, LAN, lan, exit, "
     "self, address, prefix, range or * (a range runs upwards in one family)"},
    {"from: bad character", "version: 1\nrules: [{from: [alice_laptop], to: ['group:a b']}]\n",
     "c.yaml:2:17: from is \"alice_laptop\", expected a peer, group:NAME, LAN, lan, exit, self, "
     "address, prefix, range or *\n"
     "c.yaml:2:37: to is \"group:a b\", expected a peer, group:NAME, LAN, lan, exit, self, "
     "address, prefix, range or *"},
    {"from: tag", "version: 1\nrules: [{from: ['tag:web'], to: [lan]}]\n",
     "c.yaml:2:17: from is \"tag:web\", expected a peer, group:NAME, LAN, lan, exit, self, "
     "address, prefix, range or * (tags are not in this version)"},
    {"proto", "version: 1\nrules: [{from: ['*'], to: [lan], proto: [tpc, 256]}]\n",
     "c.yaml:2:42: proto is \"tpc\", expected tcp, udp, icmp, icmpv6, sctp, esp, gre, tsmp or a "
     "number, 0-255\n"
     "c.yaml:2:47: proto is \"256\", expected tcp, udp, icmp, icmpv6, sctp, esp, gre, tsmp or a "
     "number, 0-255"},
    {"ports", "version: 1\nrules: [{from: ['*'], to: [lan], ports: [http, 65536, 90-80, 0x1bb]}]\n",
     "c.yaml:2:42: ports is \"http\", expected a port number, or \"a-b\" with a <= b\n"
     "c.yaml:2:48: ports is \"65536\", expected a port number, or \"a-b\" with a <= b\n"
     "c.yaml:2:55: ports is \"90-80\", expected a port number, or \"a-b\" with a <= b (did you "
     "mean \"80-90\"?)\n"
     "c.yaml:2:62: ports is \"0x1bb\", expected a port number, or \"a-b\" with a <= b"},
    {"when: days", "version: 1\nrules: [{from: ['*'], to: [lan], when: [Mo-Fr 08:00-18:00 UTC]}]\n",
     "c.yaml:2:41: when is \"Mo-Fr 08:00-18:00 UTC\", expected [DAYS] HH:MM-HH:MM ZONE such as "
     "Mon-Fri 08:00-18:00 Europe/Berlin (\"Mo-Fr\": expected days like Mon-Fri or Sat,Sun)"},
    {"when: times", "version: 1\nrules: [{from: ['*'], to: [lan], when: [Mon 8:00-18:00 UTC]}]\n",
     "c.yaml:2:41: when is \"Mon 8:00-18:00 UTC\", expected [DAYS] HH:MM-HH:MM ZONE such as "
     "Mon-Fri 08:00-18:00 Europe/Berlin (\"8:00-18:00\": expected HH:MM-HH:MM, 00:00 to 24:00)"},
    {"when: no zone",
     "version: 1\nrules: [{from: ['*'], to: [lan], when: [Mon-Fri 08:00-18:00]}]\n",
     "c.yaml:2:41: when is \"Mon-Fri 08:00-18:00\", expected [DAYS] HH:MM-HH:MM ZONE such as "
     "Mon-Fri 08:00-18:00 Europe/Berlin (\"Mon-Fri 08:00-18:00\": expected a time zone after the "
     "times, such as Europe/Berlin or UTC)"},
    {"when: unknown zone",
     "version: 1\nrules: [{from: ['*'], to: [lan], when: [08:00-18:00 Europe/Berln]}]\n",
     "c.yaml:2:41: when is \"08:00-18:00 Europe/Berln\", but there is no time zone "
     "\"Europe/Berln\" (did you mean \"Europe/Berlin\"?)"},
    {"not_after",
     "version: 1\nrules: [{from: ['*'], to: [lan], not_after: 2026-02-30T00:00:00Z}]\n",
     "c.yaml:2:45: not_after is \"2026-02-30T00:00:00Z\", expected a time with seconds and zone "
     "such as 2026-12-31T23:59:59+01:00"},
    {"not_after without zone",
     "version: 1\nrules: [{from: ['*'], to: [lan], not_after: 2026-02-20T00:00:00}]\n",
     "c.yaml:2:45: not_after is \"2026-02-20T00:00:00\", expected a time with seconds and zone "
     "such as 2026-12-31T23:59:59+01:00"},
    {"a long value is cut",
     "version: 1\nnode: {hostname: "
     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
     "xxxxxxx}\n",
     "c.yaml:2:18: hostname is "
     "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"..., expected a name of "
     "letters, digits and inner hyphens, at most 63"},
    {"a value with control characters", "version: 1\nnode: {hostname: \"a\\e[2Jb\\\"\"}\n",
     "c.yaml:2:18: hostname is \"a\\x1b[2Jb\\\"\", expected a name of letters, digits and inner "
     "hyphens, at most 63"},
};

#define TWO_PEERS                    \
  "version: 1\n"                     \
  "peers:\n"                         \
  "  - name: a\n"                    \
  "    public_key: " KEY_A           \
  "\n"                               \
  "    allowed_ips: [10.0.0.2/32]\n" \
  "  - name: "
constexpr Row kWhole[] = {
    {"duplicate name", TWO_PEERS "A\n    public_key: " KEY_B "\n    allowed_ips: [10.0.0.3/32]\n",
     "c.yaml:6:11: name \"A\" is already that of a peer (first in c.yaml:3)"},
    {"duplicate public key",
     TWO_PEERS "b\n    public_key: " KEY_A "\n    allowed_ips: [10.0.0.3/32]\n",
     "c.yaml:7:17: public_key \"HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=\" is already another "
     "peer's (first in c.yaml:4)"},
    {"duplicate address",
     TWO_PEERS "b\n    public_key: " KEY_B "\n    allowed_ips: [10.0.0.3/32, 10.0.0.2]\n",
     "c.yaml:8:32: address \"10.0.0.2/32\" is already that of peer \"a\" (first in c.yaml:5)"},
    {"address twice in one peer",
     TWO_PEERS "b\n    public_key: " KEY_B "\n    allowed_ips: [10.0.0.3, 10.0.0.3/32]\n",
     "c.yaml:8:29: address \"10.0.0.3/32\" is given twice (first in c.yaml:8)"},
    {"peer with the name of a LAN",
     "version: 1\npeers:\n" PEER_A
     ", allowed_ips: [10.0.0.2]}\nlan: [{name: a, prefix: 10.1.0.0/16}]\n",
     "c.yaml:4:14: name \"a\" is already that of a peer (first in c.yaml:3)"},
    {"reserved name",
     "version: 1\nlan: [{name: lan, prefix: 10.1.0.0/16}, {name: Exit, prefix: 10.2.0.0/16}]\n",
     "c.yaml:2:14: name \"lan\" has a meaning of its own in rules\n"
     "c.yaml:2:48: name \"Exit\" has a meaning of its own in rules"},
    {"overlapping LANs",
     "version: 1\nlan:\n  - {name: o, prefix: 10.1.0.0/16}\n  - {name: p, prefix: 10.1.2.0/24}\n",
     "c.yaml:4:23: prefix \"10.1.2.0/24\" overlaps LAN \"o\" (10.1.0.0/16) (first in c.yaml:3)"},
    {"LAN of everything", "version: 1\nlan: [{name: o, prefix: 0.0.0.0/0}]\n",
     "c.yaml:2:25: prefix \"0.0.0.0/0\" is everything, not a LAN (the way to the internet is "
     "exit)"},
    {"LAN over our own address",
     "version: 1\nnode: {addresses: [10.1.2.1/24]}\nlan: [{name: o, prefix: 10.1.0.0/16}]\n",
     "c.yaml:3:25: prefix \"10.1.0.0/16\" overlaps our own address 10.1.2.1/24"},
    {"peer inside a LAN",
     "version: 1\npeers:\n" PEER_A
     ", allowed_ips: [10.1.0.2]}\nlan: [{name: o, prefix: 10.1.0.0/16}]\n",
     "c.yaml:3:87: address \"10.1.0.2/32\" overlaps LAN \"o\" (10.1.0.0/16)"},
    {"peer over a LAN",
     "version: 1\npeers:\n" PEER_A
     ", allowed_ips: [0.0.0.0/0]}\nlan: [{name: o, prefix: 10.1.0.0/16}]\n",
     "c.yaml:3:87: address \"0.0.0.0/0\" overlaps LAN \"o\" (10.1.0.0/16)"},
    {"peer with our address",
     "version: 1\nnode: {addresses: [10.0.0.1/24]}\npeers:\n" PEER_A ", allowed_ips: [10.0.0.1]}\n",
     "c.yaml:4:87: address \"10.0.0.1/32\" is this gateway's own"},
    {"own address twice", "version: 1\nnode: {addresses: [10.0.0.1/24, 10.0.0.1/32]}\n",
     "c.yaml:2:33: address \"10.0.0.1/32\" is given twice"},
    {"our device as a LAN's and the exit's",
     "version: 1\nlan: [{name: o, prefix: 10.1.0.0/16, device: sallyport0}]\nexit: {device: [eth0, "
     "sallyport0]}\n",
     "c.yaml:2:46: device \"sallyport0\" is our own WireGuard device\n"
     "c.yaml:3:23: device \"sallyport0\" is our own WireGuard device"},
    {"flows_per_peer", "version: 1\ndataplane: {flows: 100, flows_per_peer: 101}\n",
     "c.yaml:2:41: flows_per_peer is \"101\", expected at most flows, 100"},
    {"table", "version: 1\ndataplane: {table: 254}\n",
     "c.yaml:2:20: table is \"254\", which is the system's"},
    {"unknown member",
     "version: 1\npeers:\n" PEER_A
     ", allowed_ips: [10.0.0.2]}\ngroups: {s: [a, 'group:stuff'], staff: [zoe]}\n",
     "c.yaml:4:17: \"group:stuff\" in group \"s\" is neither a peer nor a group (did you mean "
     "\"group:staff\"?)\n"
     "c.yaml:4:41: \"zoe\" in group \"staff\" is neither a peer nor a group"},
    {"group in itself",
     "version: 1\ngroups:\n  a: ['group:b']\n  b: ['group:c']\n  c: ['group:a']\n  d: "
     "['group:d']\n  e: ['group:a']\n",
     "c.yaml:3:7: group \"a\" contains itself through \"group:b\"\n"
     "c.yaml:4:7: group \"b\" contains itself through \"group:c\"\n"
     "c.yaml:5:7: group \"c\" contains itself through \"group:a\"\n"
     "c.yaml:6:7: group \"d\" contains itself through \"group:d\""},
    {"duplicate group", "version: 1\ngroups: {a: [], a: []}\n",
     "c.yaml:2:17: group \"a\" is given twice (first in line 2)"},
    {"ports of icmp",
     "version: 1\nrules: [{from: ['*'], to: [lan], proto: [tcp, icmp, 47], ports: [80]}]\n",
     "c.yaml:2:47: proto \"icmp\" has no ports, but this rule names some (ports go with tcp, udp "
     "and sctp; write a second rule)\n"
     "c.yaml:2:53: proto \"gre\" has no ports, but this rule names some (ports go with tcp, udp "
     "and sctp; write a second rule)"},
    {"never open",
     "version: 1\nrules: [{from: ['*'], to: [lan], not_before: 2026-01-01T00:00:00Z, not_after: "
     "2026-01-01T01:00:00+01:00}]\n",
     "c.yaml:2:79: not_after is not later than not_before (this rule would never be open)"},
    {"duplicate id",
     "version: 1\nrules:\n  - {id: x, from: ['*'], to: [lan]}\n  - {id: x, from: ['*'], to: "
     "[lan]}\n",
     "c.yaml:4:10: id \"x\" is already another rule's (first in c.yaml:3)"},
    {"id of a nameless rule",
     "version: 1\nrules:\n  - {id: rule-2, from: ['*'], to: [lan]}\n  - {from: ['*'], to: [lan]}\n",
     "c.yaml:3:10: id \"rule-2\" is already another rule's (first in c.yaml:4)"},
    {"duplicate id in the ceiling",
     "version: 1\nceiling:\n  - {id: x, from: ['*'], to: [lan]}\n  - {id: x, from: ['*'], to: "
     "[lan]}\n",
     "c.yaml:4:10: id \"x\" is already another rule's (first in c.yaml:3)"},
    {"several, in the order of the file",
     "version: 1\nrules: [{from: [a_b], to: [lan]}]\nlan:\n  - {name: o, prefix: 10.1.0.0/16}\n  - "
     "{name: o, prefix: 10.1.0.0/16}\n",
     "c.yaml:2:17: from is \"a_b\", expected a peer, group:NAME, LAN, lan, exit, self, address, "
     "prefix, range or *\n"
     "c.yaml:5:12: name \"o\" is already that of a LAN (first in c.yaml:4)\n"
     "c.yaml:5:23: prefix \"10.1.0.0/16\" overlaps LAN \"o\" (10.1.0.0/16) (first in c.yaml:4)"},
};

class Mistake : public testing::TestWithParam<Row> {};

TEST_P(Mistake, is_told) {
  std::string said;
  for (const auto& line : complaints(read_one(GetParam().text)))
    said += (said.empty() ? "" : "\n") + line;
  EXPECT_EQ(said, GetParam().said);
}

INSTANTIATE_TEST_SUITE_P(shape, Mistake, testing::ValuesIn(kShape));
INSTANTIATE_TEST_SUITE_P(keys, Mistake, testing::ValuesIn(kKeys));
INSTANTIATE_TEST_SUITE_P(types, Mistake, testing::ValuesIn(kTypes));
INSTANTIATE_TEST_SUITE_P(values, Mistake, testing::ValuesIn(kValues));
INSTANTIATE_TEST_SUITE_P(whole, Mistake, testing::ValuesIn(kWhole));

}  // namespace
}  // namespace sallyport::options
