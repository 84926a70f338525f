package server

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/opencontainers/go-digest"

	"ndock/docker/agent"
)

// snapshot sends an image of the server: what is Docker's about it in a header, and its archive as the body.
func (s *Server) snapshot(w http.ResponseWriter, r *http.Request) (any, error) {
	return nil, s.instances.Snapshots.Take(r.Context(), r.PathValue("uuid"), func(image agent.Image, archive io.Reader) error {
		header, err := json.Marshal(image)
		if err != nil {
			return err
		}
		w.Header().Set(agent.ImageHeader, string(header))
		_, err = s.stream(w, r, func(dst io.Writer) error {
			_, err := io.Copy(dst, archive)
			return err
		})
		return err
	})
}

// holdCommit makes an image of the server and says what it is. The image is there as long as the caller stays: so nothing is
// left behind where he ends, however he does.
func (s *Server) holdCommit(w http.ResponseWriter, r *http.Request) (any, error) {
	return nil, s.instances.Snapshots.Hold(r.Context(), r.PathValue("uuid"), func(commit agent.Commit) error {
		forms := s.images.StoredForms()
		for n, layer := range commit.Layers {
			commit.Layers[n].Stored = append([]agent.StoredForm{}, forms[layer.DiffID]...)
		}
		writeJSON(w, http.StatusOK, commit)
		return http.NewResponseController(w).Flush()
	})
}

func (s *Server) commitLayer(w http.ResponseWriter, r *http.Request) (any, error) {
	return s.stream(w, r, func(dst io.Writer) error {
		return s.instances.Snapshots.Layer(r.Context(), r.PathValue("id"), r.PathValue("diffID"), dst)
	})
}

func (s *Server) wholeCommit(w http.ResponseWriter, r *http.Request) (any, error) {
	return s.stream(w, r, func(dst io.Writer) error {
		return s.instances.Snapshots.Whole(r.Context(), r.PathValue("id"), dst)
	})
}

// layeredCommit sends an archive that leaves out those layers that the body says to be images of Glance.
func (s *Server) layeredCommit(w http.ResponseWriter, r *http.Request) (any, error) {
	var stored agent.StoredLayers
	if err := read(r, &stored); err != nil {
		return nil, err
	}
	return s.stream(w, r, func(dst io.Writer) error {
		return s.instances.Snapshots.Archive(r.Context(), r.PathValue("id"), stored, dst, func(manifest digest.Digest) {
			w.Header().Set(agent.DigestHeader, string(manifest))
		})
	})
}

// stream answers with a tar. What goes wrong before its first byte is a refusal. Later it breaks the body off, so that its
// reader sees that it is not whole.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, write func(dst io.Writer) error) (any, error) {
	defer context.AfterFunc(r.Context(), func() { _ = http.NewResponseController(w).SetWriteDeadline(time.Now()) })() // a reader may stand still
	body := &tarBody{ResponseWriter: w}
	err := write(body)
	if err == nil || !body.begun {
		return nil, err
	}
	s.log.Error("an answer broke off", "request", r.Method+" "+r.URL.Path, "reason", err)
	panic(http.ErrAbortHandler) // net/http's way to end a body so
}

// tarBody is the body of an answer.
type tarBody struct {
	http.ResponseWriter
	begun bool
}

func (b *tarBody) Write(p []byte) (int, error) {
	if !b.begun {
		b.Header().Set("Content-Type", "application/x-tar")
		b.begun = true
	}
	return b.ResponseWriter.Write(p)
}
