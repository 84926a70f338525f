package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"ndock/docker/agent"
)

// snapshot commits the container and sends the image; the container is paused for the commit only, and nothing
// of it stays on this host.
func (s *Server) snapshot(w http.ResponseWriter, r *http.Request) (any, error) {
	id, done, err := s.commit(r)
	if err != nil {
		return nil, err
	}
	defer func() {
		gone, err := s.removeUnused(id)
		if err := errors.Join(err, done(gone)); err != nil {
			s.log.Error("a snapshot's image stays behind", "image", id, "reason", err)
		}
	}()
	found, err := s.docker.ImageInspect(r.Context(), id)
	if err != nil {
		return nil, err
	}
	header, err := json.Marshal(describe(found))
	if err != nil {
		return nil, err
	}
	saved, err := s.docker.ImageSave(r.Context(), []string{id})
	if err != nil {
		return nil, fmt.Errorf("save image %s: %w", id, err)
	}
	defer saved.Close()
	w.Header().Set(agent.ImageHeader, string(header))
	w.Header().Set("Content-Type", "application/x-tar")
	if _, err := io.Copy(w, saved); err != nil {
		s.log.Error("a snapshot broke off", "reason", err)
		panic(http.ErrAbortHandler) // net/http's way to end a body so that its reader sees it is not whole
	}
	return nil, nil
}

func (s *Server) commit(r *http.Request) (id string, done func(gone bool) error, err error) {
	_, err = s.alone(r, func(ctx context.Context, uuid string) error {
		found, err := s.find(ctx, uuid)
		if absent(err) { // a server that leaves for another host has been set aside
			found, err = s.findAside(ctx, uuid)
		}
		if err != nil {
			return err
		}
		id, done, err = s.commitContainer(ctx, uuid, found.ID, true)
		return err
	})
	return id, done, err
}
