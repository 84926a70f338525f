package commands_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// sourceNamed is a source file that a page names, by its path or the end of that.
var sourceNamed = regexp.MustCompile("`([A-Za-z0-9_./-]+\\.(?:go|py))`")

// TestDocsNameSources keeps the pages from naming files that are gone.
func TestDocsNameSources(t *testing.T) {
	t.Parallel()
	var sources []string
	root := projectRoot(t)
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (path == ".git" || path == "bin"): // in which things come and go
			return filepath.SkipDir
		case !entry.IsDir():
			sources = append(sources, "/"+path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("there are no pages (%v)", err)
	}
	for _, page := range append(pages, filepath.Join(root, "README.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range sourceNamed.FindAllStringSubmatch(string(text), -1) {
			if !slices.ContainsFunc(sources, func(source string) bool { return strings.HasSuffix(source, "/"+match[1]) }) {
				t.Errorf("%s names %s, which is not there", page, match[1])
			}
		}
	}
}
