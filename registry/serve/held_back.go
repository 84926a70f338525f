package serve

import (
	"fmt"
	"io"
	"net/http"

	"github.com/opencontainers/go-digest"
)

// heldBackBytes is how much of what comes from an upstream waits for the rest to be known: more than an error takes that
// distribution writes after it.
const heldBackBytes = 32 << 10

// heldBack gives a blob to a client while it comes from an upstream, but for its end, until all of it has shown that it is
// that blob: what is not, is never whole. What the cache has got passes as it is.
type heldBack struct {
	http.ResponseWriter
	request  *upstreamRequest
	verifier digest.Verifier
	end      []byte
}

func newHeldBack(w http.ResponseWriter, a *upstreamRequest) *heldBack {
	return &heldBack{ResponseWriter: w, request: a, verifier: a.blob.Verifier()}
}

// Write implements io.Writer.
func (h *heldBack) Write(p []byte) (int, error) {
	if !h.request.sent.Load() {
		return h.ResponseWriter.Write(p)
	}
	h.verifier.Write(p) // which cannot fail
	h.end = append(h.end, p...)
	if ready := len(h.end) - heldBackBytes; ready > 0 {
		if _, err := h.ResponseWriter.Write(h.end[:ready]); err != nil {
			return 0, err
		}
		h.end = append(h.end[:0], h.end[ready:]...)
	}
	return len(p), nil
}

// ReadFrom implements io.ReaderFrom, by which the system may copy files.
func (h *heldBack) ReadFrom(from io.Reader) (int64, error) {
	if !h.request.sent.Load() {
		return io.Copy(h.ResponseWriter, from)
	}
	return io.Copy(struct{ io.Writer }{h}, from)
}

// Unwrap is for http.ResponseController.
func (h *heldBack) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// whole tells whether all of the blob has come from an upstream, and not nothing, as of one that cannot be had.
func (h *heldBack) whole() bool { return len(h.end) > 0 && h.verifier.Verified() }

// finish gives the end, if all before it and it are the blob.
func (h *heldBack) finish() error {
	if !h.request.sent.Load() {
		return nil
	}
	if !h.verifier.Verified() {
		return fmt.Errorf("what it gave is not %s", h.request.blob)
	}
	_, err := h.ResponseWriter.Write(h.end)
	return err
}
