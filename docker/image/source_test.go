package image

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// TestHangingStdin: an image from a stdin that gives nothing more can be given up by the context, or by closing it, also
// while it is read.
func TestHangingStdin(t *testing.T) {
	t.Parallel()
	for name, giveUp := range map[string]func(cancel func(), opened *Archive) error{
		"interrupted": func(cancel func(), _ *Archive) error { cancel(); return nil },
		"closed":      func(_ func(), opened *Archive) error { return opened.Close() },
	} {
		t.Run(name, func(t *testing.T) { hangingStdin(t, giveUp) })
	}
}

func hangingStdin(t *testing.T, giveUp func(cancel func(), opened *Archive) error) {
	stdin, never := io.Pipe()
	t.Cleanup(func() { never.Close() })
	source, err := Places{Stdin: stdin}.Find(t.Context(), Reference{Transport: Stream})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	opened, err := source.Archive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, opened)
		read <- err
	}()
	if err := giveUp(cancel, opened); err != nil {
		t.Error(err)
	}
	select {
	case err := <-read:
		if err == nil {
			t.Error("half an image was read as a whole one")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it waits for stdin")
	}
	if err := opened.Close(); err != nil {
		t.Error(err)
	}
}

// TestEmptyStdin: /dev/null and an empty pipe are no terminal, and no image.
func TestEmptyStdin(t *testing.T) {
	t.Parallel()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for name, stdin := range map[string]io.Reader{"/dev/null": null, "pipe": strings.NewReader("")} {
		p := newPlaces(t)
		p.Stdin = stdin
		_, err := read(t.Context(), p, "-")
		if err == nil || strings.Contains(err.Error(), "terminal") || !strings.Contains(err.Error(), "empty") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
