package serve

import (
	"fmt"
	"io"
	"net/http"

	"github.com/opencontainers/go-digest"
)

// heldBackBytes is how much of a blob from an upstream waits until the rest is verified. It is more than distribution
// writes of an error after the blob.
const heldBackBytes = 32 << 10

// heldBack gives a client a blob while it comes from an upstream, but holds back its end until the digest is verified:
// a wrong blob is never complete. What the cache has already passes as it is.
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

// Unwrap returns the writer, for http.ResponseController.
func (h *heldBack) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// complete returns whether the complete blob has come from an upstream.
func (h *heldBack) complete() bool { return len(h.end) > 0 && h.verifier.Verified() }

// finish writes the end, if the blob has the right digest.
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
