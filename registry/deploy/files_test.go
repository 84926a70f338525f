package deploy

import (
	"archive/tar"
	"testing"
	"time"
)

// Distribution reads logins again when their file has another time.
func TestFilesAreDated(t *testing.T) {
	archive, err := files{fileHtpasswd: []byte("ci:x\n")}.pack()
	if err != nil {
		t.Fatal(err)
	}
	header, err := tar.NewReader(archive).Next()
	if err != nil || time.Since(header.ModTime) > time.Minute || header.Format != tar.FormatPAX {
		t.Errorf("the file is of %s, %v", header.ModTime, err)
	}
}
