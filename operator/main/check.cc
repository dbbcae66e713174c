#include "operator/main/check.h"

#include <fmt/format.h>
#include <httplib.h>

#include <chrono>
#include <cstdio>
#include <string_view>

#include "operator/kube/backoff.h"

namespace millrace::operators {
namespace {

constexpr std::string_view kScheme = "http://";

}  // namespace

int check_page(const std::string& url, int wait_seconds) {
  if (!url.starts_with(kScheme)) {
    fmt::print(stderr, "millrace-operator: {} does not begin with http://\n", url);
    return 64;
  }
  const std::size_t slash = url.find('/', kScheme.size());
  const std::string server = url.substr(0, slash);
  const std::string path = slash == std::string::npos ? "/" : url.substr(slash);
  std::string said;
  for (int second = 0; second < wait_seconds; ++second) {
    if (second > 0) kube::pause(std::chrono::seconds(1), {});
    httplib::Client client(server);
    client.set_connection_timeout(2);
    client.set_read_timeout(5);
    const httplib::Result page = client.Get(path);
    if (page && page->status == 200) return 0;
    said = page ? fmt::format("{} {}", page->status, page->body) : httplib::to_string(page.error());
  }
  fmt::print(stderr, "millrace-operator: {} says: {}\n", url, said);
  return 1;
}

}  // namespace millrace::operators
