package image

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"

	"ndock/docker/archive"
)

// compressed returns content compressed by a program.
func compressed(t *testing.T, content []byte, program string, args ...string) []byte {
	t.Helper()
	command := exec.Command(program, args...)
	command.Stdin = bytes.NewReader(content)
	out, err := command.Output()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skipf("%s is not installed", program)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func zstdOf(t testing.TB, content []byte) []byte {
	t.Helper()
	packer, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return packer.EncodeAll(content, nil)
}

// TestCompressedArchives: archives in each compression are read from files and streams; cut off or damaged ones are
// refused.
func TestCompressedArchives(t *testing.T) {
	t.Parallel()
	plain := savedImage(t, layerTar(t, noise(100_000)))
	want, err := readStream(t, newTransports(t), plain)
	if err != nil {
		t.Fatal(err)
	}
	for name, pack := range map[string]func(t *testing.T, content []byte) []byte{
		"gzip": func(t *testing.T, content []byte) []byte { return compressed(t, content, "gzip", "-c") },
		"zstd": func(t *testing.T, content []byte) []byte { return zstdOf(t, content) },
		"zstd -22": func(t *testing.T, content []byte) []byte {
			return compressed(t, content, "zstd", "--ultra", "-22", "-c")
		},
		"zstd frames": func(t *testing.T, content []byte) []byte {
			return append([]byte("\x50\x2a\x4d\x18\x04\x00\x00\x00ndoc"), append(zstdOf(t, content[:5000]), zstdOf(t, content[5000:])...)...)
		},
		"bzip2": func(t *testing.T, content []byte) []byte { return compressed(t, content, "bzip2", "-c") },
		"xz":    func(t *testing.T, content []byte) []byte { return compressed(t, content, "xz", "-c") },
		"xz -9": func(t *testing.T, content []byte) []byte { return compressed(t, content, "xz", "-9", "-c") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			packed := pack(t, plain)
			file := filepath.Join(t.TempDir(), "web.tar.packed")
			write(t, file, packed)
			if found, err := read(t.Context(), newTransports(t), "docker-archive:"+file); err != nil || found.ID != want.ID {
				t.Errorf("file: got %+v, %v, want %s", found, err, want.ID)
			}
			if found, err := readStream(t, newTransports(t), packed); err != nil || found.ID != want.ID {
				t.Errorf("stream: got %+v, %v, want %s", found, err, want.ID)
			}
			for _, at := range []int{1, len(packed) / 2, len(packed) - 1} {
				if _, err := readStream(t, newTransports(t), packed[:at]); !isRefused(err) {
					t.Errorf("cut off at %d: error %v", at, err)
				}
			}
			damaged := bytes.Clone(packed)
			damaged[len(damaged)/2] ^= 0xff
			if _, err := readStream(t, newTransports(t), damaged); !isRefused(err) {
				t.Errorf("damaged: error %v", err)
			}
		})
	}
}

func isRefused(err error) bool {
	var invalid *archive.Error
	return errors.As(err, &invalid)
}

// readStream reads an image from stdin.
func readStream(t *testing.T, transports Transports, content []byte) (Metadata, error) {
	t.Helper()
	transports.Stdin = bytes.NewReader(content)
	return read(t.Context(), transports, "-")
}

// TestCompressedBombs: the size to which an archive decompresses is limited, and so is the memory for it.
func TestCompressedBombs(t *testing.T) {
	t.Parallel()
	transports := newTransports(t)
	transports.Limits.Unpacked = 1 << 20
	bomb := zstdOf(t, savedImage(t, layerTar(t, strings.Repeat("x", 8<<20))))
	if _, err := readStream(t, transports, bomb); !isRefused(err) || !strings.Contains(err.Error(), "--max-unpacked") {
		t.Errorf("error %v", err)
	}
	window := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x98, 0x01, 0x00, 0x00} // 2^29 bytes
	if _, err := readStream(t, newTransports(t), window); !isRefused(err) || !strings.Contains(err.Error(), "more than 128 MiB of memory") {
		t.Errorf("zstd: error %v", err)
	}
	if _, err := readStream(t, newTransports(t), xzDictionary(37)); !isRefused(err) || !strings.Contains(err.Error(), "more than 128 MiB of memory") {
		t.Errorf("xz: error %v", err)
	}
}

// xzDictionary returns the start of an xz file that needs a dictionary of this size, in the format's code.
func xzDictionary(size byte) []byte {
	header := []byte{0x02, 0x00, 0x21, 0x01, size, 0, 0, 0}
	stream := []byte{0xfd, '7', 'z', 'X', 'Z', 0, 0, 0x01}
	stream = binary.LittleEndian.AppendUint32(stream, crc32.ChecksumIEEE(stream[6:8]))
	stream = append(stream, header...)
	stream = binary.LittleEndian.AppendUint32(stream, crc32.ChecksumIEEE(header))
	return append(stream, make([]byte, 100)...)
}

// TestCompressedSourceFails: an error of the source is not reported as a damaged archive.
func TestCompressedSourceFails(t *testing.T) {
	t.Parallel()
	packed := zstdOf(t, savedImage(t, layerTar(t, noise(100_000))))
	broken := errors.New("the disk is broken")
	d := &decompressor{source: io.NopCloser(io.MultiReader(bytes.NewReader(packed[:1000]), iotest.ErrReader(broken)))}
	if _, err := io.Copy(io.Discard, d); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
}

// FuzzCompressed: reading any file ends within the limits, with an image or an error.
func FuzzCompressed(f *testing.F) {
	small, err := base64.StdEncoding.DecodeString("/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj4CfPAApdADsLiYq5VEgAAAAAsHhOAAABFtBPAAAAWp8fNbHEZ/sCAAAAAARZWg==")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(small)
	f.Add(zstdOf(f, []byte("hello")))
	f.Add([]byte("BZh91AY&SY\x19\x31\x65\x3d"))
	f.Add(xzDictionary(20))
	f.Add([]byte("\x28\xb5\x2f\xfd\x00\x98\x01\x00\x00"))
	f.Fuzz(func(t *testing.T, content []byte) {
		d := &decompressor{source: io.NopCloser(bytes.NewReader(content)), limit: 1 << 20}
		n, err := io.Copy(io.Discard, d)
		if n > 1<<20 && d.method != "" {
			t.Errorf("%d bytes came out of it, %v", n, err)
		}
	})
}
