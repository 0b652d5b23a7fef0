// SPDX-License-Identifier: BSD-3-Clause
#include "agent/cli/peer_add.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <qrencode.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "agent/base/fd.h"
#include "agent/model/keys.h"

namespace sallyport::cli {
namespace {

std::string joined(const Json& array, const char* between = ", ") {
  std::string out;
  for (const Json& item : array) {
    if (!out.empty()) out += between;
    out += item.get<std::string>();
  }
  return out;
}

Complaint failed(const std::string& doing, const std::string& file) {
  return {ExitCode::kFailed, fmt::format("{}: {}", doing, std::strerror(errno)), file, 0, 0, {}};
}

// A new file only: an existing one is somebody's peer.
Result<void, Complaint> write_new(const std::string& path, const std::string& text) {
  const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file.valid()) return Fail{failed("cannot make the file", path)};
  if (::write(file.raw(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      ::fsync(file.raw()) != 0) {
    const Complaint complaint = failed("cannot write the file", path);
    ::unlink(path.c_str());
    return Fail{complaint};
  }
  return {};
}

std::string quoted_list(const Json& array) {
  std::string out;
  for (const Json& item : array) {
    if (!out.empty()) out += ", ";
    out += "'" + item.get<std::string>() + "'";
  }
  return "[" + out + "]";
}

}  // namespace

Result<NewPeer, Complaint> add_peer(const std::string& run_dir, const std::string& name) {
  const Json offer = TRY(ask_once(run_dir, "peer-offer", Json{{"name", name}}));
  const PrivateKey secret = PrivateKey::generate();
  const PresharedKey shared = PresharedKey::generate();

  const std::string folder = offer.at("peers_dir");
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return Fail{failed("cannot make the folder", folder)};
  }
  NewPeer out;
  out.file = folder + "/" + name + ".yaml";
  const std::string key_file = folder + "/" + name + ".psk";
  TRY(write_new(key_file, shared.reveal_text() + "\n"));
  const auto written =
      write_new(out.file, fmt::format("# Made by: sallyport peer add {}\n"
                                      "peers:\n"
                                      "  - name: {}\n"
                                      "    public_key: '{}'\n"
                                      "    preshared_key: 'file:{}'\n"
                                      "    allowed_ips: {}\n",
                                      name, name, secret.public_key().text(), key_file,
                                      quoted_list(offer.at("addresses"))));
  if (!written) {
    ::unlink(key_file.c_str());
    return Fail{written.error()};
  }
  const auto reloaded = ask_once(run_dir, "reload");
  if (!reloaded) {
    ::unlink(out.file.c_str());
    ::unlink(key_file.c_str());
    return Fail{reloaded.error()};
  }
  out.configuration = fmt::format(
      "[Interface]\n"
      "PrivateKey = {}\n"
      "Address = {}\n"
      "{}"
      "MTU = {}\n"
      "\n"
      "[Peer]\n"
      "PublicKey = {}\n"
      "PresharedKey = {}\n"
      "AllowedIPs = {}\n"
      "Endpoint = {}\n"
      "PersistentKeepalive = 25\n",
      secret.reveal_text(), joined(offer.at("addresses")),
      offer.at("dns").empty() ? std::string() : "DNS = " + joined(offer.at("dns")) + "\n",
      offer.at("mtu").get<unsigned>(), offer.at("node_key").get<std::string>(),
      shared.reveal_text(), joined(offer.at("reachable")), offer.at("endpoint").get<std::string>());
  return out;
}

std::string qr_text(const std::string& content) {
  const std::unique_ptr<QRcode, void (*)(QRcode*)> code(
      QRcode_encodeString8bit(content.c_str(), 0, QR_ECLEVEL_L), QRcode_free);
  if (!code) return {};
  constexpr int kQuiet = 2;
  const int size = code->width;
  const auto dark = [&](int row, int column) {
    if (row < 0 || column < 0 || row >= size || column >= size) return false;
    return (code->data[row * size + column] & 1) != 0;
  };
  std::string out;
  // Two modules a character; light ones are drawn, so that it reads on a dark terminal too.
  for (int row = -kQuiet; row < size + kQuiet; row += 2) {
    out += "\x1b[40;37m";
    for (int column = -kQuiet; column < size + kQuiet; ++column) {
      const bool upper = !dark(row, column);
      const bool lower = !dark(row + 1, column);
      out += upper ? (lower ? "█" : "▀") : (lower ? "▄" : " ");
    }
    out += "\x1b[0m\n";
  }
  return out;
}

}  // namespace sallyport::cli
