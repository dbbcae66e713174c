// share_memory();   ...   give_back_memory();
//
// Keeping the process as small as its work is: it runs beside every cluster, and does little.
#pragma once

#include <cstddef>

namespace millrace::operators {

/// First thing in main(): a thread for each kind that is watched, with an arena of memory for each,
/// would keep more than they use.
void share_memory();

/// Gives back what lists took while they were read, and the pages of program and libraries that are
/// seldom needed: for starting (linking, and the tables of TLS and gRPC), or for work that was done
/// since. What is used again is mapped again, from the page cache. Cost: a few milliseconds.
/// Answers how many bytes of program and libraries were looked at.
std::size_t give_back_memory();

}  // namespace millrace::operators
