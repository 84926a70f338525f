package deploy

import (
	"archive/tar"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"ndock/registry"
)

// executable is the program that serves the registry.
type executable struct {
	file   *os.File
	name   string
	size   int64
	digest string
}

// openExecutable opens the named program, or the running one, and checks that it can run at the target.
func openExecutable(name string, runs func(program io.ReaderAt, name string) error) (*executable, error) {
	if name == "" {
		var err error
		if name, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("find the running ndock: %w", err)
		}
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read the running ndock: %w", err)
	}
	b := &executable{file: file, name: name}
	if err = runs(file, name); err == nil {
		err = b.sum()
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return b, nil
}

func (b *executable) sum() error {
	hash := sha256.New()
	var err error
	if b.size, err = io.Copy(hash, b.file); err != nil {
		return fmt.Errorf("read the running ndock: %w", err)
	}
	b.digest = "sha256:" + hex.EncodeToString(hash.Sum(nil))
	return nil
}

// checkStatic refuses a program that needs a dynamic loader, which the image has not.
func checkStatic(program io.ReaderAt, name string) error {
	if err := static(program); err != nil {
		return fmt.Errorf("make an image of %q: %w", name, err)
	}
	return nil
}

func static(file io.ReaderAt) error {
	program, err := elf.NewFile(file)
	if err != nil {
		return errors.New("it is not a Linux program")
	}
	for _, part := range program.Progs {
		if part.Type == elf.PT_INTERP {
			return &registry.Error{Err: errors.New("it is not static"), Help: "build ndock with CGO_ENABLED=0"}
		}
	}
	return nil
}

// archive writes the file system of the image: the program, and where the engine mounts things.
func (b *executable) archive(to io.Writer) error {
	w := tar.NewWriter(to)
	for _, dir := range []string{"etc/", "etc/ndock-registry/", "run/", "run/ndock-registry/", "tmp/", "var/", "var/lib/", "var/lib/registry/"} {
		if err := w.WriteHeader(&tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
			return err
		}
	}
	if err := w.WriteHeader(&tar.Header{Name: "ndock", Typeflag: tar.TypeReg, Mode: 0o755, Size: b.size}); err != nil {
		return err
	}
	if _, err := io.Copy(w, io.NewSectionReader(b.file, 0, b.size)); err != nil {
		return err
	}
	return w.Close()
}
