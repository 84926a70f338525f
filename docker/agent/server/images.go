package server

import (
	"net/http"
	"time"

	"ndock/docker/agent"
	"ndock/docker/agent/imagecache"
)

func (s *Server) getImage(_ http.ResponseWriter, r *http.Request) (any, error) {
	present, err := s.images.Has(r.Context(), r.PathValue("id"))
	return agent.Presence{Present: present}, err
}

// putImage loads a Docker archive. With root_gb it does so only if the image fits the disk of that flavor.
func (s *Server) putImage(w http.ResponseWriter, r *http.Request) (any, error) {
	rootGB, err := rootGBOf(r)
	if err != nil {
		return nil, err
	}
	from := imagecache.Archive{
		Body: r.Body,
		Stop: func() { _ = http.NewResponseController(w).SetReadDeadline(time.Now()) }, // which not all writers can
	}
	return done{}, s.images.Load(r.Context(), r.PathValue("id"), from, rootGB)
}

func (s *Server) deleteImage(_ http.ResponseWriter, r *http.Request) (any, error) {
	return done{}, s.images.Delete(r.Context(), r.PathValue("id"))
}

// pruneImages removes the images that no server has used for some time.
func (s *Server) pruneImages(_ http.ResponseWriter, r *http.Request) (any, error) {
	var limits agent.CachedImages
	if err := read(r, &limits); err != nil {
		return nil, err
	}
	return done{}, s.images.Prune(r.Context(), time.Duration(limits.UnusedSeconds)*time.Second)
}
