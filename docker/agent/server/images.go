package server

import (
	"net/http"
	"strings"
	"time"

	"ndock/docker/agent"
	"ndock/docker/agent/imagecache"
)

func (s *Server) getImage(_ http.ResponseWriter, r *http.Request) (any, error) {
	present, err := s.images.Has(r.Context(), r.PathValue("id"))
	return agent.Presence{Present: present}, err
}

// putImage loads a Docker archive. With root_gb it does so only if the image fits the disk of that flavor. Where the archive
// leaves layers out, the body has several parts.
func (s *Server) putImage(w http.ResponseWriter, r *http.Request) (any, error) {
	rootGB, err := rootGBOf(r)
	if err != nil {
		return nil, err
	}
	r.Body = s.images.Received(r.Body)
	from := imagecache.Archive{
		Body: r.Body,
		Stop: func() { _ = http.NewResponseController(w).SetReadDeadline(time.Now()) }, // which not all writers can
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
		parts, err := r.MultipartReader()
		if err != nil {
			return nil, agent.Faultf(agent.BadRequest, "the request: %v", err)
		}
		if from, err = imagecache.Parts(parts, from.Stop); err != nil {
			return nil, err
		}
	}
	return done{}, s.images.Load(r.Context(), r.PathValue("id"), from, rootGB)
}

// neededLayers tells which layers of an image have to be sent.
func (s *Server) neededLayers(_ http.ResponseWriter, r *http.Request) (any, error) {
	var asked agent.LeftOutLayers
	if err := read(r, &asked); err != nil {
		return nil, err
	}
	return s.images.Needed(r.Context(), r.PathValue("id"), asked)
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
	_, err := s.images.Prune(r.Context(), time.Duration(limits.UnusedSeconds)*time.Second)
	return done{}, err
}
