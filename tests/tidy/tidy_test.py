"""The checks find what they are for, and leave good code alone."""

import unittest

import arrows
import coroutines
import documented
import reasons_page
import rules
import sizes
import sources
import structure

TABLE = arrows.parse("common:\nbroker/model: common\nbroker/env: common\nbroker/env tests: broker/model\n<asio: broker/env\n")


class Blank(unittest.TestCase):
    def test_keeps_lines_and_drops_literals(self):
        text = 'int a = 1\'000; // throw\nauto s = "// {";\nauto r = R"x({)x"; /* {\n */ char c = \'{\';\n'
        blanked = sources.blank(text)
        self.assertEqual(blanked.count("\n"), text.count("\n"))
        self.assertNotIn("{", blanked)
        self.assertNotIn("throw", blanked)
        self.assertIn("1'000", blanked)


class Arrows(unittest.TestCase):
    def problems(self, path, text):
        return arrows.check_file(path, text, TABLE)

    def test_allowed(self):
        self.assertEqual(self.problems("broker/model/a.h", '#include "common/bytes.h"\n#include <vector>\n'), [])
        self.assertEqual(self.problems("broker/env/a_test.cc", '#include "broker/model/a.h"\n'), [])

    def test_refused(self):
        self.assertEqual(len(self.problems("broker/model/a.h", '#include "broker/env/disk.h"\n')), 1)
        self.assertEqual(len(self.problems("broker/model/a.h", "#include <asio/post.hpp>\n")), 1)
        self.assertEqual(len(self.problems("broker/model/a.cc", '#include "a.h"\n')), 1)
        self.assertEqual(len(self.problems("broker/env/a.cc", '#include "broker/env/testing/sim_disk.h"\n')), 1)
        self.assertEqual(len(self.problems("broker/new/a.cc", "")), 1)


class Structure(unittest.TestCase):
    def kinds(self, text):
        return [b.kind for b in structure.blocks(sources.blank(text))]

    def test_kinds(self):
        text = ("namespace a {\nstruct S {\n  S() : x_{1}, y_(2) {\n  }\n  int f() const {\n    if (x) {\n    }\n"
                "    auto g = [&](int n) { return n; };\n    return T{1}.v;\n  }\n  int x_{0};\n};\n}\n")
        self.assertEqual(self.kinds(text), ["container", "container", "initializer", "function", "function", "control",
                                            "lambda", "initializer", "initializer"])

    def test_long_function(self):
        body = "  x();\n" * 70
        self.assertEqual(len(sizes.long_functions("a.cc", "void f() {\n" + body + "}\n")), 1)
        self.assertEqual(sizes.long_functions("a.cc", "void f() {\n" + body[:-30] + "}\nvoid g() {\n}\n"), [])


class Coroutines(unittest.TestCase):
    def problems(self, text):
        return coroutines.check_file("a.cc", sources.blank(text))

    def test_traps(self):
        self.assertEqual(len(self.problems("Task f() {\n  co_await g([x] { return x; });\n}\n")), 1)
        self.assertEqual(len(self.problems("Task f() {\n  co_await g(Options{1});\n}\n")), 1)
        self.assertEqual(len(self.problems("Task f() {\n  co_await g(a ? b : c);\n}\n")), 1)
        self.assertEqual(len(self.problems("void f() {\n  auto c = [](int n) -> Task {\n    co_return;\n  };\n}\n")), 1)

    def test_good(self):
        self.assertEqual(self.problems("Task f() {\n  auto n = co_await g(x, use_awaitable);\n  if (co_await h()) {\n  }\n}\n"), [])
        self.assertEqual(self.problems("Task f() {\n  std::sort(a, b, [&](int c) { return c; });\n  co_return;\n}\n"), [])


class Rules(unittest.TestCase):
    def names(self, text, path="broker/model/a.cc"):
        return [name for name, _ in rules.broken(path, sources.blank(text))]

    def test_bans(self):
        self.assertEqual(self.names("auto t = std::chrono::steady_clock::now();"), ["now"])
        self.assertEqual(self.names("std::random_device d;"), ["random"])
        self.assertEqual(self.names("std::this_thread::sleep_for(1s);"), ["sleep"])
        self.assertEqual(self.names("std::thread t;"), ["thread"])
        self.assertEqual(self.names("throw 1;"), ["throw"])
        self.assertEqual(self.names("using namespace std;", "broker/model/a.h"), ["using_namespace"])

    def test_good(self):
        self.assertEqual(self.names("clock.now(); // throw\nstd::this_thread::get_id();"), [])


class Documented(unittest.TestCase):
    def test_apis(self):
        page = "| Produce | 0 | 3-13 | |\n"
        self.assertEqual(documented.api_problems(page, "api Produce key=0 versions=3..13 announced=0\n"), [])
        self.assertEqual(len(documented.api_problems(page, "api Produce key=0 versions=3..14\napi Fetch key=1 versions=4..18\n")), 2)

    def test_metrics(self):
        source = 'out.gauge("a_bytes", "Bytes "\n  "of a.", 1);\nout.histogram("b_seconds", "Time.", h, {});'
        page = "| `a_bytes` | gauge | shard | Bytes of a. |\n| `b_seconds` | histogram |  | Time. |\n"
        self.assertEqual(documented.metric_problems(page, source), [])
        self.assertEqual(len(documented.metric_problems(page.replace("Time", "Tide"), source)), 1)
        self.assertEqual(len(documented.metric_problems("", source)), 2)

    def test_links(self):
        self.assertEqual(documented.link_problems("README.md", "[a](docs/testing.md) [b](https://example.org)"), [])
        self.assertEqual(len(documented.link_problems("README.md", "[a](docs/nothing.md)")), 1)


class Reasons(unittest.TestCase):
    def test_reads_the_table(self):
        table = ('// Of pods.\nREASON(kA, Alone, Wait, "It \\"waits\\"", "")\n'
                 'REASON(kB, Broken, Problem,\n       "It is "\n       "broken", "Mend it")\n')
        self.assertEqual(reasons_page.parse(table),
                         [("pods", [("Alone", "Wait", 'It "waits"', ""), ("Broken", "Problem", "It is broken", "Mend it")])])


if __name__ == "__main__":
    unittest.main()
