package archive

import (
	"archive/tar"
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"path"
	"slices"
	"strings"
)

// Limits bound what layers may unpack to. They stop archives that are made to fill a host's disk.
type Limits struct {
	Unpacked int64  // most bytes of all layers together; 0 for no limit
	Ratio    int64  // most unpacked bytes for each packed byte of a layer; 0 for no limit. Applies above ratioThreshold
	Setting  string // name of the setting of Unpacked, for messages; empty for --max-unpacked

	Duplicates bool // look for paths that occur twice in a layer (Contents.CheckDuplicates)
	Frugal     bool // refuse layers that take more memory than FrugalMemory says

	engine   bool  // the layers go to an engine as they are
	unpacked int64 // bytes in the layers before, and in entries that were refused
	files    int   // files in the layers before
}

// filesLimit is the most files of all layers together, directories included. An empty file has no bytes, but takes an
// inode and a block on disk. The largest known images have about a million.
const filesLimit = 4 << 20

// BlockSize is the most that a file takes on disk beside its content, in bytes; the last, partly filled block is part
// of it. Its name and attributes are counted as their size in the layer.
const BlockSize = 4096

// Limits of paths in a layer. The first two are those of Linux.
const (
	layerPathLimit = 4095
	layerNameLimit = 255
	depthLimit     = 255 // directories
)

// ratioThreshold is the size, in bytes, up to which a layer's ratio is not checked. An empty file compresses well.
const ratioThreshold = 256 << 20

// Layer is a layer of an image in an archive.
type Layer struct {
	Path string // path in the archive
	Size int64  // as it is stored, in bytes

	// LeftOut tells that the bytes were not needed (LayerSource).
	LeftOut bool

	layerInfo
	wasInspected bool  // layerInfo is set
	refused      error // why it is not a valid layer; it may be no layer at all
}

// Refused returns why it is not a valid layer, or nil. An entry of an archive may be no layer of the image at all.
func (l Layer) Refused() error {
	if l.refused == nil && l.duplicate != "" {
		return refuse("has the path %q twice", l.duplicate)
	}
	return l.refused
}

// layerInfo is what inspecting a layer found.
type layerInfo struct {
	DiffID      string // sha256:… of the uncompressed layer
	Compression string // gzip, zstd, xz, bzip2, or empty
	LayerSize

	duplicate string // a path that occurs twice, if this was looked for
}

// Digest returns the digest that the path of a layer in an OCI layout states: of the bytes as they are stored. It is empty for
// a layer of another path.
func (l Layer) Digest() string {
	if !blobName.MatchString(l.Path) {
		return ""
	}
	return "sha256:" + path.Base(l.Path)
}

// LayerSize is what a layer takes where it is unpacked.
type LayerSize struct {
	Unpacked int64 // size of its files, in bytes
	Stored   int64 // the larger of Unpacked and the uncompressed layer, in bytes
	Files    int   // number, with directories that are only part of a path
}

// add returns the sum of two sizes.
func (s LayerSize) add(other LayerSize) LayerSize {
	return LayerSize{AddSizes(s.Unpacked, other.Unpacked), AddSizes(s.Stored, other.Stored), s.Files + other.Files}
}

// inspection inspects a layer that is written to it. It has its own goroutine, because unpacking takes longer than
// sending.
type inspection struct {
	*io.PipeWriter
	done   chan struct{}
	result layerInfo
	err    error
}

func (l *Limits) startInspection() *inspection {
	from, into := io.Pipe()
	i := &inspection{PipeWriter: into, done: make(chan struct{})}
	go func() {
		defer close(i.done)
		i.result, i.err = l.inspect(context.Background(), from) // it ends with what is written to it
		_, _ = io.Copy(io.Discard, from)                        // do not block the writer: whether the entry is a layer is not known yet
	}()
	return i
}

func (i *inspection) finish() (layerInfo, error) {
	i.Close()
	<-i.done
	return i.result, i.err
}

// inspect reads a layer to its end. It returns an *Error for what is damaged or beyond the limits. What it unpacks counts in
// either case.
func (l *Limits) inspect(ctx context.Context, src io.Reader) (layerInfo, error) {
	if l.isSpent() {
		return layerInfo{}, l.tooLarge()
	}
	packed := &countingReader{from: src}
	content, compression, err := decompressWithin(packed, l.memory())
	if err != nil {
		return layerInfo{}, err
	}
	if l.engine && (compression == "xz" || compression == "bzip2") {
		return layerInfo{}, refuse("is packed with %s; a node takes layers that are plain or packed with gzip or zstd, and 'ndock image push-glance' unpacks the others on the way", compression)
	}
	defer content.Close()
	sum := sha256.New()
	plain := &countingReader{from: io.TeeReader(content, sum), check: func(n int64) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return l.checkRatio(n, packed.n)
	}}
	headers := &headerReader{from: bufio.NewReaderSize(plain, 64<<10)}
	found, err := l.walk(headers, packed)
	if err == nil {
		_, err = io.Copy(io.Discard, plain) // the digest covers what tar does not read
	}
	if err != nil {
		l.unpacked = AddSizes(l.unpacked, plain.n)
		return layerInfo{}, explainLayer(err)
	}
	found.DiffID, found.Compression, found.Stored = "sha256:"+hex.EncodeToString(sum.Sum(nil)), compression, max(found.Unpacked, plain.n)
	l.unpacked = AddSizes(l.unpacked, found.Stored)
	l.files += found.Files
	return found, nil
}

// walk checks the name of each file, and counts files and their bytes.
func (l *Limits) walk(from *headerReader, packed *countingReader) (layerInfo, error) {
	var found layerInfo
	var before []string
	seen, files := seenPaths{}, tar.NewReader(from)
	for {
		header, err := l.next(files, from)
		if refused := l.checkRatio(found.Unpacked, packed.n); refused != nil { // for the files so far
			return found, refused
		}
		if err == io.EOF {
			return found, nil
		}
		if err != nil {
			return found, err
		}
		if err := checkFile(header); err != nil {
			return found, err
		}
		if l.Duplicates && seen.markSeen(header.Name) {
			found.duplicate = cmp.Or(found.duplicate, header.Name)
		}
		parts := splitPath(header.Name)
		found.Files += filesToCreate(before, parts)
		if header.Typeflag != tar.TypeXGlobalHeader { // engines make no directories for such a header
			before = parts
		}
		if !headerOnly(header.Typeflag) {
			found.Unpacked = AddSizes(found.Unpacked, header.Size) // a sparse file states a size without sending it
		}
		if err := errors.Join(checkFileCount(l.files+found.Files), l.checkSize(found.Unpacked)); err != nil {
			return found, err
		}
	}
}

// seenPaths are the paths in a layer, as hashes with a random seed. There may be millions, of 4 KiB each.
type seenPaths map[uint64]bool

var pathSeed = maphash.MakeSeed()

// markSeen records a path, and reports whether it was there before. Paths are compared as Docker compares them.
func (s seenPaths) markSeen(name string) bool {
	sum := maphash.String(pathSeed, path.Clean(name))
	was := s[sum]
	s[sum] = true
	return was
}

func splitPath(name string) []string {
	return strings.Split(path.Clean(strings.TrimLeft(name, "/")), "/")
}

// filesToCreate returns how many files an engine may create for a path: the file, and the directories above it that
// the previous path did not have.
func filesToCreate(before, parts []string) int {
	shared := 0
	for shared < min(len(before), len(parts)-1) && before[shared] == parts[shared] {
		shared++
	}
	return len(parts) - shared
}

func checkFileCount(n int) error {
	if n > filesLimit {
		return refuse("brings the image to more than %d files, the most that are allowed", filesLimit)
	}
	return nil
}

// headerOnly reports whether entries of this type have no content, whatever size they state.
func headerOnly(kind byte) bool {
	switch kind {
	case tar.TypeLink, tar.TypeSymlink, tar.TypeChar, tar.TypeBlock, tar.TypeDir, tar.TypeFifo:
		return true
	}
	return false
}

// checkSize refuses a layer that is too large, as soon as its headers say so.
func (l *Limits) checkSize(unpacked int64) error {
	if l.Unpacked > 0 && unpacked > l.Unpacked-l.unpacked {
		return l.tooLarge()
	}
	return nil
}

// checkUnpacked refuses an archive whose entries have unpacked to too much, valid layers or not: this takes time.
func (l *Limits) checkUnpacked() error {
	if l.isSpent() {
		return refuse("it %v", l.tooLarge())
	}
	return nil
}

func (l *Limits) isSpent() bool { return l.Unpacked > 0 && l.unpacked > l.Unpacked }

// AddSizes returns the sum of two sizes, at most math.MaxInt64. A sparse file may state any size.
func AddSizes(a, b int64) int64 {
	if b > math.MaxInt64-a {
		return math.MaxInt64
	}
	return a + b
}

// checkImageSize refuses an image whose layers together are too large.
func (l *Limits) checkImageSize(size LayerSize) error {
	if l != nil && l.Unpacked > 0 && size.Stored > l.Unpacked {
		return l.tooLarge()
	}
	return checkFileCount(size.Files)
}

func (l *Limits) tooLarge() error {
	return refuse("unpacks to more than %d bytes, the most that is allowed (%s)", l.Unpacked, cmp.Or(l.Setting, "--max-unpacked"))
}

// archiveSlack is what an archive may have beside its layers, in bytes: manifests, configurations and tar headers.
const archiveSlack = 64 << 20

// limitArchive limits the archive itself. Parts of it may belong to no image.
func (l *Limits) limitArchive(archive io.Reader) io.Reader {
	if l == nil || l.Unpacked == 0 {
		return archive
	}
	return &countingReader{from: archive, check: l.checkArchiveSize}
}

// checkArchiveSize refuses an archive, or layers that it leaves out, of more bytes than an image may unpack to.
func (l *Limits) checkArchiveSize(n int64) error {
	if l != nil && l.Unpacked > 0 && n-archiveSlack > l.Unpacked {
		return refuse("it %v", l.tooLarge())
	}
	return nil
}

// checkRatio refuses a layer that unpacks to too many times its packed size.
func (l *Limits) checkRatio(unpacked, packed int64) error {
	if l.Ratio > 0 && unpacked > ratioThreshold && (unpacked-1)/l.Ratio >= packed {
		return refuse("unpacks to more than %d times its size, as hardly anything does that is not made to fill a disk (--max-ratio)", l.Ratio)
	}
	return l.checkSize(unpacked)
}

// checkFile refuses a file that would land outside the container, and paths and attributes that no image needs.
func checkFile(header *tar.Header) error {
	parts := splitPath(header.Name)
	switch {
	case len(header.Name) > layerPathLimit:
		return refuse("has a path of %d bytes; at most %d are allowed", len(header.Name), layerPathLimit)
	case len(parts)-1 > depthLimit:
		return refuse("has a path more than %d directories deep", depthLimit)
	case slices.ContainsFunc(parts, func(part string) bool { return len(part) > layerNameLimit }):
		return refuse("has a name of more than %d bytes, the most that are allowed", layerNameLimit)
	case escapes(strings.TrimLeft(header.Name, "/")):
		return refuse("has a path that leads out of it, %q", header.Name)
	case header.Typeflag == tar.TypeLink && escapes(strings.TrimLeft(header.Linkname, "/")):
		return refuse("has a link that leads out of it, %q to %q", header.Name, header.Linkname)
	case path.Base(header.Name) == ".wh...":
		return refuse("deletes its own parent, by %q", header.Name)
	}
	return checkAttributes(header)
}

// checkAttributes refuses attributes by which overlayfs joins layers. Linux lets no container set them, but Docker Engine, as root
// of the host, sets what a layer brings. Their names are those of PAX records, see tar.Header.
func checkAttributes(header *tar.Header) error {
	for record := range header.PAXRecords {
		if attribute, is := strings.CutPrefix(record, "SCHILY.xattr."); is && strings.HasPrefix(attribute, "trusted.") {
			return refuse("has a file with an attribute that is for the host's root alone, %q with %q", header.Name, attribute)
		}
	}
	return nil
}

func explainLayer(err error) error {
	var invalid *Error
	switch {
	case errors.As(err, &invalid):
		return invalid
	case errors.Is(err, tar.ErrHeader):
		return refuse("is no tar archive, or a damaged one")
	}
	return refuse("is damaged: %v", err)
}

// verify refuses a layer that is invalid, or is not the one that the configuration names.
func (l Layer) verify(number int, diffID string) error {
	switch {
	case l.refused != nil:
		return refuse("its layer %d %v", number, l.refused)
	case l.wasInspected && strings.HasPrefix(diffID, "sha512:"):
		return refuse("its layer %d is named by its SHA-512 in the configuration, and Docker names layers by their SHA-256", number)
	case l.wasInspected && l.DiffID != diffID:
		return refuse("its layer %d is damaged: it is %s, and should be %s", number, shortDigest(l.DiffID), shortDigest(diffID))
	}
	return nil
}

func shortDigest(digest string) string { return fmt.Sprintf("%.19s", digest) }
