// What the targets that own the precompiled header sets of cmake/MillracePackages.cmake are made
// of.
int main() {
  return 0;
}
