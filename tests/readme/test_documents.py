"""The documents of the repository name only what is there: paths, tests, links, sections of other documents. So do
the comments of the code that point to a document."""

import fnmatch
import functools
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

# `src/gate/http.c`, `tests/e2e/`, `tests/e2e/test_pool.py::test_...`
QUOTED = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"[\w.+-]+(/[\w.*+-]+)*/?")
FILE = re.compile(r"[\w+-]+\.(c|h|py|md|in|sh|build)")
TEST = re.compile(r"(?P<file>[\w./-]+\.(py|c))::(?P<name>\w+)")
LINK = re.compile(r"(?<!!)\[[^]\n]*\]\(([^)\s]+)\)")
# In a comment of the code: docs/api.md, "Idle peers"
CITED = re.compile(r'(?:docs/[\w-]+\.md|\b[A-Z]{3,}\.md)(?:,\s+"[^"]+")?')
# What a document shows is not always of this repository: these are made by a build, or are a reader's own.
MADE = re.compile(r"build(-\w+)?/.*")


@functools.cache
def files():
    """All of the repository, also what is new and not committed yet."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                            check=True, capture_output=True, text=True).stdout.split("\0")
    return sorted(name for name in listed if name and (ROOT / name).exists())


@functools.cache
def folders():
    return {parent.as_posix() for name in files() for parent in pathlib.PurePosixPath(name).parents} - {"."}


def exists(path):
    """A file, a folder, or a pattern that matches a file."""
    path = path.rstrip("/")
    return path in files() or path in folders() or ("*" in path and bool(fnmatch.filter(files(), path)))


def looks_like_ours(text):
    """Whether it can only be a path of this repository: its first part is one of our folders, or it is a
    file's name without a folder."""
    if MADE.fullmatch(text) or not PATH.fullmatch(text):
        return False
    first, _, rest = text.partition("/")
    return first in folders() if rest or text.endswith("/") else bool(FILE.fullmatch(text))


def named_files(text):
    """A path says itself which file it is; a bare name may be of any folder, but must be of one."""
    if "/" in text:
        return [text] if exists(text) else []
    return [name for name in files() if pathlib.PurePosixPath(name).name == text]


def has_test(text):
    """file::name, the file with or without its folder."""
    match = TEST.fullmatch(text)
    definition = re.compile(rf"^(?:def|static void|static int|int) {match['name']}\(", re.MULTILINE)
    return any(definition.search((ROOT / name).read_text()) for name in named_files(match["file"]))


def words_of(page):
    """What is in backticks, and the words of the shown commands: with the number of their line."""
    fence = None
    for number, line in enumerate(map(str.strip, page.splitlines()), 1):
        if line.startswith("```"):
            fence = None if fence is not None else line[3:]
        elif fence == "sh":
            yield from ((number, word.split("=", 1)[-1]) for word in line.split() if "/" in word)
        elif fence is None:
            yield from ((number, text.removeprefix("./")) for text in QUOTED.findall(line))


def anchors_of(page):
    """As GitHub makes them of headings."""
    seen, inside = {}, False
    for line in page.splitlines():
        inside ^= line.startswith("```")
        if not inside and (match := re.match(r"#+\s+(.*)", line)):
            slug = re.sub(r"[^\w\- ]", "", match[1].lower()).replace(" ", "-")
            seen[slug] = seen.get(slug, -1) + 1
            yield slug if not seen[slug] else f"{slug}-{seen[slug]}"


def commands_of(page):
    """(line, command) of what is in backticks, and of the shown commands."""
    fence = None
    for number, line in enumerate(map(str.strip, page.splitlines()), 1):
        if line.startswith("```"):
            fence = None if fence is not None else line[3:]
        elif fence == "sh":
            yield number, line.split(" #")[0]
        elif fence is None:
            yield from ((number, text) for text in QUOTED.findall(line))


def missing_targets(page):
    """Yields (line, target) of what is not in the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for number, command in commands_of(page):
        match = re.match(r"(?:[A-Z]+=\S+ )*make((?: \S+)*)$", command.strip())
        for word in match[1].split() if match else ():
            if re.fullmatch(r"[a-z-]+", word) and not word.startswith("-") and word not in targets:
                yield number, word


def headings_of(page):
    return {match[1] for match in re.finditer(r"^#+\s+(.*)$", page, re.MULTILINE)}


def missing(page):
    """Yields (line, text) of what is named and is not there."""
    for number, text in words_of(page):
        if TEST.fullmatch(text):
            if not has_test(text):
                yield number, text
        elif looks_like_ours(text) and not named_files(text):
            yield number, text


def broken_links(page, folder):
    """Yields (line, target) of relative links that lead nowhere. folder: the page's own."""
    for number, line in enumerate(page.splitlines(), 1):
        for target in LINK.findall(re.sub(r"`[^`]*`", "", line)):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            file = (ROOT / folder / path).resolve() if path else None
            if file and not file.exists():
                yield number, target
            elif anchor and anchor not in anchors_of(file.read_text() if file else page):
                yield number, target


def broken_citations(text):
    """Yields what a comment cites of a document that is not there, or has no such section."""
    for match in CITED.finditer(re.sub(r"\n\s*(\*|#|//)?\s*", " ", text)):
        name, _, section = match[0].partition(",")
        name = name if "/" in name or exists(name) else f"docs/{name}"
        section = section.strip().strip('"')
        if not exists(name) or (section and section not in headings_of((ROOT / name).read_text())):
            yield match[0]


def documents():
    return [name for name in files() if name.endswith(".md")]


def listed(page, column=0):
    """What is in backticks in a column of a page's tables."""
    rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("| ")]
    return {text for row in rows if len(row) > column for text in QUOTED.findall(row[column])}


def sources():
    return [name for name in files() if re.match(r"(src|tests|bench|demo|man|packaging)/", name)
            and not name.startswith("tests/fuzz/corpus/") and name != "tests/readme/test_documents.py"
            and not name.endswith(".md")]


@pytest.mark.parametrize("name", documents())
def test_every_path_and_every_test_that_a_document_names_is_there(name):
    page = (ROOT / name).read_text()
    assert [f"{name}:{number}: {text}" for number, text in missing(page)] == []


@pytest.mark.parametrize("name", documents())
def test_every_target_of_make_that_a_document_names_is_there(name):
    page = (ROOT / name).read_text()
    assert [f"{name}:{number}: make {target}" for number, target in missing_targets(page)] == []


@pytest.mark.parametrize("name", documents())
def test_every_link_of_a_document_leads_somewhere(name):
    page = (ROOT / name).read_text()
    found = broken_links(page, pathlib.PurePosixPath(name).parent)
    assert [f"{name}:{number}: {target}" for number, target in found] == []


def test_a_comment_cites_only_documents_and_sections_that_are_there():
    found = [f"{name}: {citation}" for name in sources()
             for citation in broken_citations((ROOT / name).read_text(errors="replace"))]
    assert found == []


def test_the_readme_leads_to_the_documents():
    page = (ROOT / "README.md").read_text()
    for name in documents():
        if "/" not in name and name != "README.md" or name.startswith("docs/"):
            assert f"({name})" in page, name


def test_every_metric_and_every_field_of_show_is_documented():
    page = (ROOT / "docs/metrics.md").read_text()
    metrics = set(re.findall(r'"((?:vprox|process)_\w+)"', (ROOT / "src/metrics/exposition.c").read_text()))
    assert metrics and metrics == {name for name in listed(page) if name.startswith(("vprox_", "process_"))}
    labels = [label for name, pattern in [("ipc/report.h", r'COUNT\(\w+, \w+, "(\w+)"\)'),
                                          ("ipc/gate_counts.h", r'REFUSAL\(\w+, "(\w+)"\)')]
              for label in re.findall(pattern, (ROOT / "src" / name).read_text())]
    assert len(labels) > 15 and set(labels) <= listed(page) | set(QUOTED.findall(page))
    page = (ROOT / "docs/show.md").read_text()
    packed = re.findall(r"(?:json_pack|json_stream_open_array)\((.*?)\);", (ROOT / "src/cmd/show_json.c").read_text(),
                        re.DOTALL)
    fields = {name for call in packed for name in re.findall(r'"([a-z_]+)"', call)} - {"wireguard", "ipip", "local"}
    reasons = re.search(r"report_refusal_names\[\w+\] = \{(.*?)\}",
                        (ROOT / "src/ipc/report.c").read_text(), re.DOTALL).group(1)
    fields |= set(re.findall(r'"(\w+)"', reasons))
    example = set(re.findall(r'"(\w+)":', page))
    assert fields and fields == example
    assert fields <= {"gates", "signers", "endpoints", "peers", "capacity", "taken", "connections",
                      "max"} | listed(page)


def test_every_answer_of_the_api_is_documented():
    code = (ROOT / "src/gate/routes.c").read_text()
    page = (ROOT / "docs/api.md").read_text()
    refused = re.findall(r'refuse(?:_for_now)?\(\s*response, (?:\d+, )?(?:GATE_REFUSED_\w+,\s+)?"([^"]+)"', code)
    refused += re.findall(r'"(failed to [^"]+)"', code)
    assert len(refused) > 10 and set(refused) <= listed(page, 2)
    names = dict(re.findall(r'\[(GATE_PATH_\w+)\] = "(/[\w-]*)"', (ROOT / "src/ipc/gate_counts.c").read_text()))
    paths = [(names[path], method) for path, method in re.findall(r'\{(GATE_PATH_\w+), "(\w+)"', code)]
    assert len(paths) > 5 and {f"{method} {path}" for path, method in paths} <= listed(page)


def test_every_operation_and_every_drop_of_a_device_is_documented():
    page = (ROOT / "docs/uapi.md").read_text()
    set_, uapi = ((ROOT / f"src/device/uapi/{name}.c").read_text() for name in ("uapi_set", "uapi"))
    drops = re.findall(r'DROP\(\w+, "(\w+)"\)', (ROOT / "src/base/device_drops.h").read_text())
    operations = re.findall(r'"((?:get|set)\w*=)', uapi)
    lines = re.findall(r'"((?:replace_)?ipip_\w+)"', set_)
    assert len(drops) > 10 and set(drops) <= listed(page)
    for name in (*operations, *(f"{line}=" for line in lines)):
        assert any(text.startswith(name) for text in listed(page)), name
    assert len(operations) > 4 and len(lines) > 3


@pytest.mark.parametrize("text", [
    "`src/gate/no_such_file.c`", "`src/attic/`", "`tests/e2e/test_*_never.py`", "`no_such_file.c`",
    "`tests/e2e/test_pool.py::test_no_such_test`", "`test_never.py::test_a`",
    "```sh\ntests/never/run -- make\n```", "```sh\nenv CC=x OUT=src/attic/a.c make\n```",
])
def test_a_name_of_what_is_not_there_is_found(text):
    assert len(list(missing(text))) == 1


@pytest.mark.parametrize("text", [
    "`src/main.c`", "`src/gate/`", "`src/gate`", "`tests/unit/test_*.c`", "`main.c`", "`README.md`",
    "`tests/readme/test_documents.py::test_the_readme_leads_to_the_documents`",
    "`test_documents.py::test_the_readme_leads_to_the_documents`", "`/run/vprox/lock`", "`build/vprox`",
    "`GET /`", "`vprox-device@vprox0`", "`10.100.0.0/16`", "`application/json`", "src/attic/a.c",
    "```\nsrc/attic/\n```", "```sh\nmake # see src/main.c\n```",
])
def test_what_is_there_and_what_is_no_path_of_ours_is_not_complained_of(text):
    assert list(missing(text)) == []


@pytest.mark.parametrize("text, found", [
    ("`make never`", 1), ("```sh\nCC=clang make BUILD=x never  # why\n```", 1), ("`make lint never`", 1),
    ("`make`", 0), ("`make -n lint`", 0), ("`make check-format lint`", 0),
])
def test_a_target_of_make_that_is_not_there_is_found(text, found):
    assert len(list(missing_targets(text))) == found


@pytest.mark.parametrize("text, found", [
    ("[a](docs/never.md)", 1), ("[a](README.md#never)", 1), ("[a](#never)", 1), ("[a](#b-c)\n# B, c", 0),
    ("[a](README.md)", 0), ("[a](https://example.com/never)", 0), ("`[a](never)`", 0),
    ("# B\n# B\n[a](#b-1)", 0), ("```\n# b\n```\n[a](#b)", 1),
])
def test_a_link_that_leads_nowhere_is_found(text, found):
    assert len(list(broken_links(text, ""))) == found


@pytest.mark.parametrize("text, found", [
    ("/* docs/never.md */", 1), ("/* API" + ".md */", 0 if (ROOT / "API.md").exists() else 1),
    ('/* docs/architecture.md,\n * "Processes" */', 0), ('/* docs/architecture.md, "Attic" */', 1),
    ("# see README.md", 0), ("# see docs/architecture.md", 0),
])
def test_a_citation_of_what_is_not_there_is_found(text, found):
    assert len(list(broken_citations(text))) == found
