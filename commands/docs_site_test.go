package commands

import (
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	siteRefers = regexp.MustCompile(`<(\w+)\b[^>]*?\s(?:href|src)="([^"]*)"`)
	siteID     = regexp.MustCompile(`\sid="([^"]*)"`)
)

// TestSite: what 'make site' has made in NDOCK_SITE has all pages. Each leads to all the others, no link is dead, and a browser
// that shows it asks nobody else for anything.
func TestSite(t *testing.T) {
	made := os.Getenv("NDOCK_SITE")
	if made == "" {
		t.Skip("NDOCK_SITE is not set: 'make site' runs this")
	}
	base := "/" + strings.Trim(os.Getenv("SITE_BASE"), "/") + "/"
	site := os.DirFS(filepath.Join(made, "site"))
	for name := range pages(t) {
		name = strings.Replace(strings.TrimSuffix(name, ".md"), "README", "index", 1) + ".html"
		page, err := fs.ReadFile(site, name)
		if err != nil {
			t.Error(err)
			continue
		}
		linked := checkSitePage(t, site, strings.Replace(base, "//", "/", 1), name, string(page))
		for other := range pages(t) {
			if other != "README.md" && !slices.Contains(linked, strings.TrimSuffix(other, ".md")+".html") {
				t.Errorf("%s does not lead to %s", name, other)
			}
		}
	}
}

// checkSitePage returns the files that a page refers to.
func checkSitePage(t *testing.T, site fs.FS, base, name, text string) []string {
	t.Helper()
	var files []string
	for _, match := range siteRefers.FindAllStringSubmatch(text, -1) {
		element, to := match[1], match[2]
		if strings.Contains(to, "://") {
			if element != "a" {
				t.Errorf("%s has a browser fetch %s", name, to)
			}
			continue
		}
		where, anchor, _ := strings.Cut(to, "#")
		file := siteFile(base, name, where)
		linked, err := fs.ReadFile(site, file)
		if err != nil {
			t.Errorf("%s refers to %s: %v", name, to, err)
		} else if anchor != "" && !hasID(string(linked), anchor) {
			t.Errorf("%s refers to %s, which has no such place", name, to)
		}
		files = append(files, file)
	}
	return files
}

// siteFile returns the file that a page means by a path.
func siteFile(base, page, where string) string {
	if where == "" {
		return page
	}
	if strings.HasSuffix(where, "/") {
		where += "index.html"
	}
	if below, absolute := strings.CutPrefix(where, base); absolute {
		return below
	}
	return path.Join(path.Dir(page), where)
}

func hasID(page, id string) bool {
	return slices.ContainsFunc(siteID.FindAllStringSubmatch(page, -1), func(match []string) bool { return match[1] == id })
}

// TestSiteSearch: the search finds a page by what only its text says.
func TestSiteSearch(t *testing.T) {
	made := os.Getenv("NDOCK_SITE")
	if made == "" {
		t.Skip("NDOCK_SITE is not set: 'make site' runs this")
	}
	for words, want := range map[string]string{
		"condemned layer":        "docs/images.html#layers-that-are-images-of-their-own",
		"orphans":                "docs/node.html#orphans",
		"bridge_mappings":        "docs/networks.html",
		"userns-remap dockremap": "docs/node.html#debians-policy-in-force",
	} {
		out, err := exec.Command("node", filepath.Join(made, "site.work", "search.mjs"), filepath.Join(made, "site"), words).Output()
		if err != nil {
			t.Fatal(err)
		}
		found := strings.Split(string(out), "\n")
		if first := found[:min(3, len(found))]; !strings.Contains(strings.Join(first, "\n"), want) {
			t.Errorf("%q is found in %q, and not first in %s", words, first, want)
		}
	}
}
