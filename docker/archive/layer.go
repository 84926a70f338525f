package archive

import (
	"archive/tar"
	"bufio"
	"cmp"
	"compress/bzip2"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// Limits are what a layer may unpack to. They are there for those that are made to fill a host's disk.
type Limits struct {
	Unpacked int64  // bytes, of all layers together; 0 for any
	Ratio    int64  // unpacked to packed, of one layer; 0 for any. Judged from ratioFrom on
	Setting  string // that Unpacked comes from, for messages; empty for --max-unpacked

	engine   bool  // layers go to an engine as they are
	findDuplicates   bool  // look for paths that occur twice in a layer
	unpacked int64 // by the layers before
	files    int   // in the layers before
}

// filesLimit is the most files of all layers together, directories among them: one without content has no bytes, and
// takes an inode and a block of a disk. The largest known images have about a million.
const filesLimit = 4 << 20

// blockSize is what a file takes on a disk at most beside its content, in bytes, with the last block that it fills in
// part. Its name and attributes count as what they take in the layer.
const blockSize = 4096

// Limits of the paths in a layer. Linux has the first two.
const (
	layerPathLimit = 4095
	layerNameLimit = 255
	depthLimit     = 255 // directories
)

// ratioFrom is what a layer may unpack to, whatever its ratio: an empty file compresses well.
const ratioThreshold = 256 << 20

// Layer is one of an image's, in an archive.
type Layer struct {
	Path string // in the archive
	Size int64  // there, in bytes

	layerInfo
	wasInspected  bool  // into it
	refused error // what is wrong with it, if it is a layer at all
}

// inspected is what is known of a layer that was looked into.
type layerInfo struct {
	DiffID      string // sha256:… of it unpacked
	Unpacked    int64  // size of the files in it, in bytes
	Compression string // gzip, zstd, xz, bzip2, or empty

	duplicate  string // a path that occurs twice, where that is looked for
	stored int64  // Unpacked, or the whole layer where that is more, in bytes
	files  int    // with the directories that only paths name
}

// inspection looks into a layer that is written to it, in a goroutine of its own: unpacking takes longer than sending.
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
		i.result, i.err = l.inspect(from)
		_, _ = io.Copy(io.Discard, from) // the writer is not to be stopped; whether the entry is a layer is not known yet
	}()
	return i
}

func (i *inspection) finish() (layerInfo, error) {
	i.Close()
	<-i.done
	return i.result, i.err
}

// look reads a layer to its end.
func (l *Limits) inspect(src io.Reader) (layerInfo, error) {
	packed := &countingReader{from: src}
	content, compression, err := decompress(packed)
	if err != nil {
		return layerInfo{}, err
	}
	if l.engine && (compression == "xz" || compression == "bzip2") {
		return layerInfo{}, refuse("is packed with %s; a node takes layers that are plain or packed with gzip or zstd, and 'ndock image push-glance' unpacks the others on the way", compression)
	}
	defer content.Close()
	sum := sha256.New()
	plain := &countingReader{from: io.TeeReader(content, sum), check: func(n int64) error { return l.checkRatio(n, packed.n) }}
	found, err := l.walk(tar.NewReader(bufio.NewReaderSize(plain, 64<<10)), packed)
	if err == nil {
		_, err = io.Copy(io.Discard, plain) // what tar does not read belongs to the digest
	}
	if err != nil {
		return layerInfo{}, explainLayer(err)
	}
	found.DiffID, found.Compression, found.stored = "sha256:"+hex.EncodeToString(sum.Sum(nil)), compression, max(found.Unpacked, plain.n)
	l.unpacked = addSizes(l.unpacked, found.stored)
	l.files += found.files
	return found, nil
}

// walk checks each file's name, and counts the files and their bytes.
func (l *Limits) walk(files *tar.Reader, packed *countingReader) (layerInfo, error) {
	var found layerInfo
	var before []string
	seen := seenPaths{}
	for {
		header, err := files.Next()
		if refused := l.checkRatio(found.Unpacked, packed.n); refused != nil { // of the files that have come by
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
		if l.findDuplicates && seen.markSeen(header.Name) {
			found.duplicate = cmp.Or(found.duplicate, header.Name)
		}
		parts := splitPath(header.Name)
		found.files += filesToCreate(before, parts)
		if header.Typeflag != tar.TypeXGlobalHeader { // for which no engine has to make directories
			before = parts
		}
		if !headerOnly(header.Typeflag) {
			found.Unpacked = addSizes(found.Unpacked, header.Size) // which a sparse file, of whichever format, has without sending it
		}
		if err := errors.Join(checkFileCount(l.files+found.files), l.checkSize(found.Unpacked)); err != nil {
			return found, err
		}
	}
}

// seenPaths are the paths in a layer, by hashes that nobody can foresee: there may be millions, of 4 KiB each.
type seenPaths map[uint64]bool

var pathSeed = maphash.MakeSeed()

// again tells whether a path was there before, and notes it. Paths are the same where Docker takes them for the same.
func (s seenPaths) markSeen(name string) bool {
	sum := maphash.String(pathSeed, path.Clean(name))
	was := s[sum]
	s[sum] = true
	return was
}

func splitPath(name string) []string {
	return strings.Split(path.Clean(strings.TrimLeft(name, "/")), "/")
}

// made is how many files an engine may make for a path that follows another one: the file itself, and the directories
// above it that the path before did not have.
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

// headerOnly tells whether no content follows an entry of this type, whatever size it has.
func headerOnly(kind byte) bool {
	switch kind {
	case tar.TypeLink, tar.TypeSymlink, tar.TypeChar, tar.TypeBlock, tar.TypeDir, tar.TypeFifo:
		return true
	}
	return false
}

// hold refuses a layer that is too large, as soon as it says so.
func (l *Limits) checkSize(unpacked int64) error {
	if l.Unpacked > 0 && unpacked > l.Unpacked-l.unpacked {
		return l.tooLarge()
	}
	return nil
}

// plus adds two sizes. What a sparse file says of itself makes a sum of at most the largest number, and none below zero.
func addSizes(a, b int64) int64 {
	if b > math.MaxInt64-a {
		return math.MaxInt64
	}
	return a + b
}

// holdImage refuses an image that is too large with all of its layers.
func (l *Limits) checkImageSize(unpacked int64, files int) error {
	if l != nil && l.Unpacked > 0 && unpacked > l.Unpacked {
		return l.tooLarge()
	}
	return checkFileCount(files)
}

func (l *Limits) tooLarge() error {
	return refuse("unpacks to more than %d bytes, the most that is allowed (%s)", l.Unpacked, cmp.Or(l.Setting, "--max-unpacked"))
}

// archiveSlack is what an archive may have beyond what its layers unpack to: descriptions and tar's headers.
const archiveSlack = 64 << 20

// whole bounds the archive itself, of which a part may be of no use to the image.
func (l *Limits) limitArchive(archive io.Reader) io.Reader {
	if l == nil || l.Unpacked == 0 {
		return archive
	}
	return &countingReader{from: archive, check: func(n int64) error {
		if n-archiveSlack > l.Unpacked {
			return refuse("it %v", l.tooLarge())
		}
		return nil
	}}
}

// allow compares what has been unpacked with that from which it was.
func (l *Limits) checkRatio(unpacked, packed int64) error {
	if l.Ratio > 0 && unpacked > ratioThreshold && (unpacked-1)/l.Ratio >= packed {
		return refuse("unpacks to more than %d times its size, as hardly anything does that is not made to fill a disk (--max-ratio)", l.Ratio)
	}
	return l.checkSize(unpacked)
}

// checkFile refuses a file that would land outside of the container, or whose path no image needs.
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
	return nil
}

func explainLayer(err error) error {
	var refused *Error
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.Is(err, tar.ErrHeader):
		return refuse("is no tar archive, or a damaged one")
	}
	return refuse("is damaged: %v", err)
}

// Compression tells what a layer is compressed with, by its first bytes: gzip, zstd, xz, bzip2, or empty for nothing.
func Compression(layer *bufio.Reader) (string, error) {
	magic, err := layer.Peek(4)
	if err != nil && err != io.EOF {
		return "", err
	}
	return compressionOf(string(magic)), nil
}

const bzip2Magic = "BZh"

// compressionOf tells a compression by its first four bytes, as Docker does.
func compressionOf(magic string) string {
	switch {
	case strings.HasPrefix(magic, "\x1f\x8b"):
		return "gzip"
	case magic == "\x28\xb5\x2f\xfd":
		return "zstd"
	case magic == "\xfd7zX":
		return "xz"
	case strings.HasPrefix(magic, bzip2Magic):
		return "bzip2"
	}
	return ""
}

// unread refuses what Docker would unpack and this package would not: the first name of a tar may look like it.
func rejectSkippableFrame(magic string) error {
	if strings.HasSuffix(magic, "\x2a\x4d\x18") && magic[0]&0xf0 == 0x50 { // a frame to skip
		return refuse("begins with a frame of zstd that has nothing in it")
	}
	return nil
}

// xzMemory is the most memory that unpacking a layer in xz may take, in bytes: what 'xz -9' needs.
const xzMemory = 64 << 20

// decompress undoes the compressions that layers have.
func decompress(src io.Reader) (io.ReadCloser, string, error) {
	in := bufio.NewReaderSize(src, 64<<10)
	compression, err := Compression(in)
	if err == nil {
		magic, _ := in.Peek(4)
		err = rejectSkippableFrame(string(magic))
	}
	switch {
	case err != nil:
		return nil, "", err
	case compression == "gzip":
		unpacked, err := gzip.NewReader(in)
		if err != nil {
			return nil, "", refuse("is damaged: %v", err)
		}
		return unpacked, compression, nil
	case compression == "zstd":
		unpacked, err := zstd.NewReader(in, zstd.WithDecoderMaxMemory(64<<20), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, "", refuse("is damaged: %v", err)
		}
		return unpacked.IOReadCloser(), compression, nil
	case compression == "xz":
		unpacked, err := xz.NewReader(in, xzMemory)
		if err != nil {
			return nil, "", refuse("is damaged: %v", err)
		}
		return io.NopCloser(unpacked), compression, nil
	case compression == "bzip2":
		return io.NopCloser(bzip2.NewReader(in)), compression, nil
	}
	return io.NopCloser(in), "", nil
}

// Spool unpacks a layer into a file that has no name and goes when it is closed, and returns it with its size in bytes: in
// an archive that stands before the layer. It returns an *Error for what is damaged or beyond the limits.
func (l Limits) Spool(layer io.Reader) (*os.File, int64, error) {
	packed := &countingReader{from: layer}
	content, _, err := decompress(packed)
	switch {
	case packed.failed != nil:
		return nil, 0, packed.failed
	case err != nil:
		return nil, 0, refuse("a layer of it %v", explainLayer(err))
	}
	defer content.Close()
	file, err := os.CreateTemp("", "ndock-layer-")
	if err != nil {
		return nil, 0, err
	}
	os.Remove(file.Name())
	plain := &countingReader{from: content, check: func(n int64) error { return l.checkRatio(n, packed.n) }}
	size, err := io.Copy(file, plain)
	switch {
	case packed.failed != nil:
		err = packed.failed
	case plain.failed != nil:
		err = refuse("a layer of it %v", explainLayer(plain.failed))
	case err == nil:
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, size, nil
}

// Decompressed unpacks a layer, whatever it is compressed with.
func LayerReader(src io.Reader) (io.ReadCloser, error) {
	unpacked, _, err := decompress(src)
	return unpacked, err
}

// counter counts what is read, and may stop it.
type countingReader struct {
	from   io.Reader
	n      int64
	check  func(n int64) error
	failed error // what reading ended in, but for a proper end
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += int64(n)
	if c.check != nil && err == nil {
		err = c.check(c.n)
	}
	if err != nil && err != io.EOF {
		c.failed = err
	}
	return n, err
}

// verify compares a layer with what the image's configuration says of it.
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
