package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// at returns the bytes of a section.
func (s Section) at(packed []byte) []byte { return packed[s.Offset : s.Offset+s.Size] }

// TestReadSections: each blob that is in an archive is found, and its bytes stand where it is said.
func TestReadSections(t *testing.T) {
	index, _, _ := severalPlatforms(t)
	whole, _ := composedOf(t, files(t, "one"), files(t, "two"))
	for name, c := range map[string]struct {
		packed []byte
		blobs  int
	}{
		"an index":                  {composeBundle(t, index), 1 + 2*3 + 3}, // the index, manifest, configuration and small layer of each image, and an attestation of both
		"an image":                  {compose(t, whole), 4},
		"one with layers left out":  {compose(t, whole.without(1, 2)), 2},
		"an artifact":               {composeBundle(t, chart(t)), 2},
		"more padding":              {append(compose(t, whole), make([]byte, 100_000)...), 4},
		"an archive of docker save": {pack(t, image()...), 0},
		"nothing in it":             {make([]byte, 1024), 0},
	} {
		sections, err := ReadSections(bytes.NewReader(c.packed))
		if err != nil || len(sections) != c.blobs {
			t.Errorf("%s: %d sections, %v, want %d", name, len(sections), err, c.blobs)
		}
		for _, one := range sections {
			if got := digest.FromBytes(one.at(c.packed)); got != one.Digest {
				t.Errorf("%s: at %d is %s, want %s", name, one.Offset, got, one.Digest)
			}
		}
	}
}

// TestSectionsAsTheyStand: of whatever tar can do, only files whose bytes stand in it are sections.
func TestSectionsAsTheyStand(t *testing.T) {
	name := func(content string) string { return blobPath(sumOf([]byte(content))) }
	long := strings.Repeat("x", 3000)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, header := range []*tar.Header{
		{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "0123", "path": name("global")}},
		{Name: name("plain"), Size: 5},
		{Name: "./" + name("dotted"), Size: 6},
		{Name: name("records"), Size: 7, Format: tar.FormatPAX, PAXRecords: map[string]string{"VENDOR.note": long, "comment": "x"}},
		{Name: name("gnu"), Size: 3, Format: tar.FormatGNU, Uname: "user"},
		{Name: name("link"), Typeflag: tar.TypeLink, Linkname: name("plain")},
		{Name: name("symlink"), Typeflag: tar.TypeSymlink, Linkname: "plain"},
		{Name: name("directory") + "/", Typeflag: tar.TypeDir},
		{Name: name("device"), Typeflag: tar.TypeChar},
		{Name: strings.ToUpper(name("capitals")), Size: 8},
		{Name: "other/" + name("elsewhere"), Size: 9},
		{Name: name("short")[:40], Size: 5},
		{Name: name("longer") + "0", Size: 6},
		{Name: "blobs/sha512/" + strings.Repeat("0", 128), Size: 1},
		{Name: strings.Repeat("d/", 100) + "../" + name("deep"), Size: 4},
		{Name: name("last"), Size: 4},
	} {
		if header.Typeflag != tar.TypeXGlobalHeader {
			header.Mode = 0o644
		}
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(header.Name, err)
		}
		for content := range strings.FieldsSeq("plain dotted records gnu last") {
			if strings.HasSuffix(header.Name, name(content)) {
				_, _ = io.WriteString(w, content)
			}
		}
		if header.Size > 0 {
			_, _ = io.CopyN(w, strings.NewReader(long), header.Size) // for those that are no sections
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	packed := b.Bytes()
	sections, err := ReadSections(bytes.NewReader(packed))
	var found []string
	for _, one := range sections {
		if content := string(one.at(packed)); digest.FromString(content) == one.Digest {
			found = append(found, content)
		}
	}
	if got := fmt.Sprint(found); err != nil || got != "[plain dotted records gnu last]" || len(sections) != 5 {
		t.Errorf("got %s of %v, %v", got, sections, err)
	}
}

// TestSparseSections: a sparse file is not in the tar as it is, in any of the forms that tar has for it.
func TestSparseSections(t *testing.T) {
	for form, packed := range map[string][]byte{"PAX": sparse(), "GNU": gnuSparse()} {
		header, err := tar.NewReader(bytes.NewReader(packed)).Next()
		if err != nil {
			t.Fatal(err)
		}
		sections, err := ReadSections(bytes.NewReader(packed))
		if err != nil || len(sections) > 0 {
			t.Errorf("%s: got %v, %v", form, sections, err)
		}
		header.Name = blobPath(sumOf(nil))
		if name, ok := sectionDigest(header); ok {
			t.Errorf("%s: it is the section %s", form, name)
		}
	}
}

func TestReadSectionsRefuses(t *testing.T) {
	whole, _ := composedOf(t, files(t, "one"))
	packed := compose(t, whole)
	blob := entry{name: blobPath(sumOf([]byte("x"))), content: "x"}
	many := make([]entry, sectionsLimit+1)
	for n := range many {
		many[n] = entry{name: fmt.Sprint(n)}
	}
	for name, c := range map[string]struct {
		packed io.Reader
		says   string
	}{
		"text":       {strings.NewReader(strings.Repeat("no archive ", 1000)), "it is no tar archive"},
		"gzip":       {bytes.NewReader(zip(t, packed)), "it is no tar archive"},
		"cut off":    {bytes.NewReader(packed[:len(packed)-3000]), "it is cut off"},
		"damaged":    {bytes.NewReader(append(packed[:len(packed)-1024:len(packed)-1024], []byte(strings.Repeat("x", 1024))...)), "it is damaged"},
		"twice":      {bytes.NewReader(pack(t, blob, blob)), "it has two entries"},
		"many":       {bytes.NewReader(pack(t, many...)), "it has more than 10000 entries"},
		"large":      {stream(blob.name, sectionsBytes, blob), "it has more than 67108864 bytes"},
		"stated":     {io.LimitReader(stream(blob.name, 1<<40, blob), 2048), "it is cut off"},
		"a few byte": {strings.NewReader("docker"), "it is cut off"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadSections(c.packed)
			wantRefusal(t, err, c.says)
		})
	}
	for _, after := range []int{0, 1, 600, 3000} {
		for _, away := range []error{errors.New("no route to host"), io.ErrUnexpectedEOF} {
			if _, err := ReadSections(io.MultiReader(bytes.NewReader(packed[:after]), failingReader{away})); !errors.Is(err, away) {
				t.Errorf("after %d bytes: %v, want %v", after, err, away)
			}
		}
	}
}

// FuzzReadSections: whatever a tar is, a section lies in it, and has the bytes that tar reads there.
func FuzzReadSections(f *testing.F) {
	index, _, _ := severalPlatforms(f)
	whole, _ := composedOf(f, files(f, "one"))
	for _, packed := range [][]byte{composeBundle(f, index), compose(f, whole), sparse(), gnuSparse(), pack(f, image()...)} {
		f.Add(packed)
		f.Add(packed[:len(packed)/2])
	}
	f.Fuzz(func(t *testing.T, packed []byte) {
		sections, err := ReadSections(bytes.NewReader(packed))
		if err != nil {
			return
		}
		contents := map[string][]byte{}
		for in := tar.NewReader(bytes.NewReader(packed)); ; {
			header, err := in.Next()
			if err != nil {
				break
			}
			if contents[header.Name], err = io.ReadAll(io.LimitReader(in, 1<<20)); err != nil {
				break
			}
		}
		for _, one := range sections {
			if one.Offset < 0 || one.Size < 0 || one.Offset+one.Size > int64(len(packed)) {
				t.Fatalf("%+v lies outside of %d bytes", one, len(packed))
			}
			if one.Size > 1<<20 {
				continue
			}
			found := false
			for name, content := range contents {
				found = found || strings.Contains(name, one.Digest.Encoded()) && bytes.Equal(content, one.at(packed))
			}
			if !found {
				t.Fatalf("%+v has other bytes than tar reads", one)
			}
		}
	})
}

// TestTopSection: what an archive is of is known only where hosts boot just that.
func TestTopSection(t *testing.T) {
	index, _, _ := severalPlatforms(t)
	whole, _ := composedOf(t, files(t, "one"))
	packed := compose(t, whole)
	for name, c := range map[string]struct {
		packed []byte
		want   digest.Digest
	}{
		"an image":    {packed, digest.FromBytes(whole.Manifest)},
		"an index":    {composeBundle(t, index), index.Descriptor.Digest},
		"no list":     {withoutEntry(t, packed, listName), ""},
		"no index":    {withoutEntry(t, packed, "index.json"), ""},
		"docker save": {pack(t, image()...), ""},
	} {
		sections, err := ReadSections(bytes.NewReader(c.packed))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var top digest.Digest
		for _, one := range sections {
			if one.Top {
				top = one.Digest
			}
		}
		if top != c.want {
			t.Errorf("%s is of %q, want %q", name, top, c.want)
		}
	}
	if _, err := ReadSections(bytes.NewReader(twice(t, packed))); err == nil {
		t.Error("a second index.json counts")
	}
}

// twice returns an archive with another index.json at its end.
func twice(t *testing.T, packed []byte) []byte {
	t.Helper()
	more := pack(t, entry{name: "index.json", content: "{}"})
	return append(packed[:len(packed)-1024:len(packed)-1024], more...)
}

// withoutEntry returns an archive without one of its entries.
func withoutEntry(t *testing.T, packed []byte, name string) []byte {
	t.Helper()
	var b bytes.Buffer
	from, to := tar.NewReader(bytes.NewReader(packed)), tar.NewWriter(&b)
	for {
		header, err := from.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Name == name {
			continue
		}
		if err := to.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(to, from); err != nil {
			t.Fatal(err)
		}
	}
	to.Close()
	return b.Bytes()
}
