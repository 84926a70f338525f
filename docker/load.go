package docker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
)

// Loader is what loading asks of Docker Engine.
type Loader interface {
	ImageLoad(ctx context.Context, archive io.Reader, options ...client.ImageLoadOption) (image.LoadResponse, error)
	ImageTag(ctx context.Context, id, name string) error
}

// LoadRefused is what Docker says of an archive that it does not take.
type LoadRefused struct{ Reason string }

func (e *LoadRefused) Error() string { return e.Reason }

// LoadImage streams an archive of one image, without names, into Docker and returns the id that Docker computes from
// it. The error is a *LoadRefused when Docker does not take it.
func LoadImage(ctx context.Context, engine Loader, archive io.Reader) (string, error) {
	loading, err := engine.ImageLoad(ctx, struct{ io.Reader }{archive}) // which an HTTP client does not close
	if err != nil {
		return "", err
	}
	defer loading.Body.Close()
	return loadedID(loading.Body)
}

// loadedID reads Docker's account of a load, a JSON object a line, to its end: an engine with containerd's store says
// which image it loaded, and then that it could not unpack it.
func loadedID(account io.Reader) (string, error) {
	lines := json.NewDecoder(bufio.NewReader(account))
	loaded := ""
	for {
		var line struct{ Stream, Error string }
		switch err := lines.Decode(&line); {
		case err == io.EOF && loaded == "":
			return "", errors.New("docker did not say which image it loaded")
		case err == io.EOF:
			return loaded, nil
		case err != nil:
			return "", fmt.Errorf("docker's account of the load: %w", err)
		}
		if line.Error != "" {
			return loaded, &LoadRefused{line.Error}
		}
		if strings.HasPrefix(line.Stream, "Error unpacking image") {
			return loaded, &LoadRefused{strings.TrimSpace(line.Stream)}
		}
		if _, id, found := strings.Cut(line.Stream, "Loaded image ID: "); found {
			loaded = strings.TrimSpace(id)
		}
	}
}

// TagImage gives an image a name, which another one may have had.
func TagImage(ctx context.Context, engine Loader, id, name string) error {
	if err := engine.ImageTag(ctx, id, name); err != nil {
		return explain(fmt.Sprintf("call image %s %q", id, name), err)
	}
	return nil
}
