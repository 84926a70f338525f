package commands

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// pages returns the text of README.md and docs/*.md by their paths below the project's root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("../docs/*.md")
	if err != nil || len(paths) == 0 {
		t.Fatalf("there are no pages (%v)", err)
	}
	texts := map[string]string{}
	for _, path := range append(paths, "../README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[strings.TrimPrefix(path, "../")] = string(text)
	}
	return texts
}

var (
	pageLink    = regexp.MustCompile(`\]\(([^)#: ]*)(?:#([^)]*))?\)`)
	pageHeading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notInAnchor = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// anchors returns those that a forge makes of a page's headings: of two that are the same, the second ends with -1.
func anchors(page string) []string {
	var all []string
	times := map[string]int{}
	for _, match := range pageHeading.FindAllStringSubmatch(page, -1) {
		anchor := strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(match[1]), ""), " ", "-")
		if times[anchor]++; times[anchor] > 1 {
			anchor += "-" + strconv.Itoa(times[anchor]-1)
		}
		all = append(all, anchor)
	}
	return all
}

// deadLinks returns those of the pages that lead to no page and no other file, or to no heading, and how many there are in all.
func deadLinks(pages map[string]string, isFile func(path string) bool) (dead []string, all int) {
	for page, text := range pages {
		for _, match := range pageLink.FindAllStringSubmatch(text, -1) {
			to, anchor := page, match[2]
			if match[1] != "" {
				to = filepath.Join(filepath.Dir(page), match[1])
			}
			all++
			if linked, ok := pages[to]; !ok && !isFile(to) {
				dead = append(dead, page+" links to "+to+", which is not there")
			} else if anchor != "" && !slices.Contains(anchors(linked), anchor) {
				dead = append(dead, page+" links to "+to+", which has no heading #"+anchor)
			}
		}
	}
	slices.Sort(dead)
	return dead, all
}

// TestDocsLinks: each link from page to page leads to a file, and to a heading in it.
func TestDocsLinks(t *testing.T) {
	t.Parallel()
	dead, all := deadLinks(pages(t), func(path string) bool {
		info, err := os.Stat(filepath.Join("..", path))
		return err == nil && info.Mode().IsRegular()
	})
	for _, link := range dead {
		t.Error(link)
	}
	if all < 20 {
		t.Errorf("only %d links were found", all)
	}
}

func TestDeadLinks(t *testing.T) {
	t.Parallel()
	dead, all := deadLinks(map[string]string{
		"README.md": "[a](docs/a.md) [b](docs/b.md) [license](LICENSE) [there](https://example.com/x.md#y)",
		"docs/a.md": "# Nova's own `x_y`\n## Twice\n## Twice\n[up](../README.md) [1](#novas-own-x_y) [2](a.md#twice-1) [3](a.md#twice-2) ![](a.png)",
	}, func(path string) bool { return path == "LICENSE" })
	want := []string{
		"README.md links to docs/b.md, which is not there",
		"docs/a.md links to docs/a.md, which has no heading #twice-2",
		"docs/a.md links to docs/a.png, which is not there",
	}
	if all != 8 || !slices.Equal(dead, want) {
		t.Errorf("of %d links %q are dead, want %q of 8", all, dead, want)
	}
}

// TestDocsAreListed: README's table, which is the site's navigation, has each page once.
func TestDocsAreListed(t *testing.T) {
	t.Parallel()
	all := pages(t)
	for page := range all {
		if row := "\n| [" + page + "](" + page + ") | "; page != "README.md" && strings.Count(all["README.md"], row) != 1 {
			t.Errorf("README.md's table has no row, or several, for %s", page)
		}
	}
}

// otherMessages are Nova's, Docker Engine's, the kernel's and the pages' own, which stand in the tables too.
var otherMessages = []string{
	"My compute node", "in nova-compute's log", "read-only file system", "for an index", "Failed to retrieve allocations for consumer",
	"No command specified", "Exhausted all hosts available for retrying build failures", "No fixed IP addresses available", "requires a subnet",
}

var (
	table       = regexp.MustCompile(`(?m)^(\|.*)\n\| ---.*\n((?:\|.*(?:\n|$))+)`) // its head, and its rows
	codeSpan    = regexp.MustCompile("`[^`]+`")
	betweenSays = regexp.MustCompile(`…|: |[(),;]`) // between parts of a message that are separate in the source
	formatVerb  = regexp.MustCompile(`\S*%(?:\[\d\])?[sqdv]\S*`)
)

// TestDocsQuoteErrors: what the tables of error messages quote is in the source, part by part, with values for verbs.
func TestDocsQuoteErrors(t *testing.T) {
	t.Parallel()
	source := sourceText(t)
	checked := 0
	for page, text := range pages(t) {
		for _, message := range messages(text) {
			for _, part := range betweenSays.Split(message, -1) {
				part = strings.Trim(part, ` .:"`)
				if len(strings.Fields(part)) < 3 || slices.Contains(otherMessages, part) {
					continue
				}
				checked++
				if !isSaid(source, strings.Fields(part)) {
					t.Errorf("%s quotes %q (in %q), which no source has", page, part, message)
				}
			}
		}
	}
	if checked < 40 {
		t.Errorf("only %d parts of messages were found", checked)
	}
}

// messages returns what the tables of a page quote, in a column that is called message or what one sees: what is between
// backquotes in a cell, or all of it.
func messages(page string) []string {
	var all []string
	for _, match := range table.FindAllStringSubmatch(page, -1) {
		column := slices.IndexFunc(strings.Split(match[1], "|"), func(head string) bool { return head == " message " || head == " what one sees " })
		if column < 0 {
			continue
		}
		for _, row := range strings.Split(strings.TrimSpace(match[2]), "\n") {
			cell := strings.Split(row, "|")[column]
			spans := codeSpan.FindAllString(cell, -1)
			if len(spans) == 0 {
				spans = []string{cell}
			}
			for _, span := range spans {
				all = append(all, strings.Trim(span, " `"))
			}
		}
	}
	return all
}

// sourceText returns the program's source, with "…" for each word that has a verb of fmt.
func sourceText(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "bin", "testdata"}, entry.Name()):
			return filepath.SkipDir
		case entry.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		all.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return formatVerb.ReplaceAllString(strings.ReplaceAll(all.String(), `\"`, `"`), "…")
}

// isSaid tells whether the source has the words, of which up to two may be values, or all but the first two.
func isSaid(source string, words []string) bool {
	for i := range words {
		for j := range words[:i+1] {
			values := slices.Clone(words)
			values[i], values[j] = "…", "…"
			if (len(words) > 3 || i == j) && strings.Contains(source, strings.Join(values, " ")) {
				return true
			}
		}
	}
	return slices.ContainsFunc([]int{0, 1, 2}, func(first int) bool {
		return len(words)-first >= 3 && strings.Contains(source, strings.Join(words[first:], " "))
	})
}

func TestMessages(t *testing.T) {
	t.Parallel()
	page := "| when | what |\n| --- | --- |\n| never | `no message` |\n\n| message | what to do |\n| --- | --- |\n| it is not there | make it |\n" +
		"| `device … is not used` | use it |\n\n| cause | what one sees |\n| --- | --- |\n| none | `one`, or the server is off: `two` |"
	if got, want := messages(page), []string{"it is not there", "device … is not used", "one", "two"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
