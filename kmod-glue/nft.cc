// SPDX-License-Identifier: BSD-3-Clause
#include "kmod-glue/nft.h"

#include <fmt/format.h>
#include <linux/netlink.h>
#include <nftables/libnftables.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>

#include "agent/base/fd.h"
#include "kmod-glue/nft_text.h"

namespace sallyport {
namespace {

// What a kernel refuses nftables commands with.
constexpr std::array kErrors{ENOENT, EPERM,      EBUSY,  EEXIST, EINVAL,       ENOMEM,
                             EACCES, EOPNOTSUPP, ENODEV, ERANGE, EAFNOSUPPORT, ENOBUFS};

/// libnftables reports in words only: "Error: Could not process rule: Operation not permitted".
Fail<Error> read_error(std::string_view words, const std::string& doing) {
  words = words.substr(0, words.find('\n'));
  if (words.starts_with("Error: ")) words.remove_prefix(7);
  for (const int number : kErrors) {
    const std::string meaning = std::generic_category().message(number);
    if (!words.ends_with(meaning)) continue;
    words.remove_suffix(meaning.size());
    if (words.ends_with(": ")) words.remove_suffix(2);
    return fail(number, words.empty() ? doing : fmt::format("{}: {}", doing, words));
  }
  return fail(EINVAL, words.empty() ? doing : fmt::format("{}: {}", doing, words));
}

using Json = nlohmann::json;

/// The objects of one kind ("chain", "rule") in an answer of libnftables.
std::vector<Json> objects(const std::string& text, const char* kind) {
  const Json parsed = Json::parse(text, nullptr, false);
  std::vector<Json> found;
  if (!parsed.is_object() || !parsed.contains("nftables")) return found;
  for (const Json& one : parsed["nftables"]) {
    if (one.is_object() && one.contains(kind)) found.push_back(one[kind]);
  }
  return found;
}

std::string member(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string{};
}

/// Text or JSON for as long as it lives.
class Output {
 public:
  Output(nft_ctx* context, unsigned flags)
      : context_(context), before_(nft_ctx_output_get_flags(context)) {
    nft_ctx_output_set_flags(context_, flags);
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  ~Output() { nft_ctx_output_set_flags(context_, before_); }

 private:
  nft_ctx* context_;
  unsigned before_;
};

}  // namespace

void Nft::Free::operator()(nft_ctx* context) const { nft_ctx_free(context); }

Result<Nft> Nft::open() {
  // On a kernel without nfnetlink libnftables would end the process.
  if (!Fd{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER)}.valid()) {
    return fail(errno, "open nfnetlink");
  }
  nft_ctx* context = nft_ctx_new(NFT_CTX_DEFAULT);
  if (context == nullptr) return fail(ENOMEM, "open libnftables");
  Nft nft{context};
  if (nft_ctx_buffer_output(context) != 0 || nft_ctx_buffer_error(context) != 0) {
    return fail(ENOMEM, "give libnftables its buffers");
  }
  return nft;
}

Result<std::string> Nft::run(const std::string& commands, const std::string& doing) {
  const bool done = nft_run_cmd_from_buffer(context_.get(), commands.c_str()) == 0;
  // Reading either buffer empties it.
  std::string output = nft_ctx_get_output_buffer(context_.get());
  const std::string words = nft_ctx_get_error_buffer(context_.get());
  if (!done) return read_error(words, doing);
  return output;
}

Result<std::optional<std::string>> Nft::list_ours() {
  // Counters would make two listings of the same table differ.
  const Output plain{context_.get(), NFT_CTX_OUTPUT_STATELESS};
  auto listing = run(fmt::format("list table inet {}", kNftTable), "list our nftables table");
  if (listing) return std::optional{std::move(*listing)};
  if (listing.error().code == std::errc::no_such_file_or_directory) {
    return std::optional<std::string>{};
  }
  return Fail{std::move(listing).error()};
}

Result<void> Nft::replace(const NftTable& table) {
  const std::string commands = TRY(render_nft(table));
  written_.reset();
  TRY(run(commands, "write our nftables table"));
  auto listing = TRY(list_ours());
  if (!listing) return fail(ENOENT, "read back our nftables table");
  written_ = Written{table, *std::move(listing)};
  return {};
}

Result<void> Nft::remove() {
  written_.reset();
  TRY(run(render_nft_removal(), "delete our nftables table"));
  return {};
}

Result<std::optional<NftTable>> Nft::observe() {
  const auto listing = TRY(list_ours());
  if (!listing) return std::optional<NftTable>{};
  if (!written_ || written_->listing != *listing) return std::optional{NftTable{}};
  return std::optional{written_->table};
}

Result<std::vector<ForeignForwardChain>> Nft::foreign_forward_chains() {
  // Terse: a table may hold a set of a million addresses.
  const Output json{context_.get(),
                    NFT_CTX_OUTPUT_JSON | NFT_CTX_OUTPUT_STATELESS | NFT_CTX_OUTPUT_TERSE};
  std::set<std::pair<std::string, std::string>> tables;
  for (const Json& chain : objects(TRY(run("list chains", "list nftables chains")), "chain")) {
    const std::string family = member(chain, "family");
    const std::string table = member(chain, "table");
    if (member(chain, "hook") != "forward") continue;
    if (family == "inet" && table == kNftTable) continue;
    if (family != "ip" && family != "ip6" && family != "inet") continue;
    tables.emplace(family, table);
  }
  std::vector<ForeignForwardChain> found;
  for (const auto& [family, table] : tables) {
    const auto listing =
        run(fmt::format("list table {} {}", family, table), "list nftables table " + table);
    // Gone meanwhile: then it drops nothing either.
    if (!listing) continue;
    std::ranges::move(parse_forward_chains(*listing), std::back_inserter(found));
  }
  return found;
}

}  // namespace sallyport
