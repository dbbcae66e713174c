#include "broker/server/version.h"

namespace millrace::server {

const char* const kVersion = MILLRACE_VERSION;

}  // namespace millrace::server
