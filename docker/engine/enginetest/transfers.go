package enginetest

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
)

// ReadWhole is what an engine does that reads its input to the end.
func ReadWhole(archive io.Reader) string { return readWhole(archive, Loaded) }

func readWhole(archive io.Reader, loaded string) string {
	if _, err := io.Copy(io.Discard, archive); err != nil {
		return `{"error":"` + err.Error() + `"}`
	}
	return account(loaded)
}

func account(id string) string { return `{"stream":"Loaded image ID: ` + id + `\n"}` }

func (e *Engine) ImageLoad(_ context.Context, archive io.Reader, _ ...client.ImageLoadOption) (image.LoadResponse, error) {
	if err := e.did("ImageLoad", ""); err != nil {
		return image.LoadResponse{}, err
	}
	if closer, ok := archive.(io.Closer); ok {
		defer closer.Close() // as an HTTP client does with what it sends
	}
	account := e.Account(archive)
	e.Mu.Lock()
	defer e.Mu.Unlock()
	if _, known := e.Images[Loaded]; !known && strings.Contains(account, Loaded) {
		e.Images[Loaded] = image.InspectResponse{ID: Loaded, Os: "linux", Architecture: runtime.GOARCH}
	}
	return image.LoadResponse{Body: io.NopCloser(strings.NewReader(account)), JSON: true}, nil
}

// Unpack is an Account that reads Docker archives, as the real engine does: what it loads can be inspected, saved and removed.
func (e *Engine) Unpack(archive io.Reader) string {
	whole, err := io.ReadAll(archive)
	var loaded image.InspectResponse
	if err == nil {
		loaded, err = readArchive(whole)
	}
	if err != nil {
		text, _ := json.Marshal(map[string]string{"error": err.Error()}) // a string can be written
		return string(text)
	}
	e.Mu.Lock()
	defer e.Mu.Unlock()
	e.Images[loaded.ID] = loaded
	e.ArchiveOf[loaded.ID] = func(context.Context) io.Reader { return bytes.NewReader(whole) }
	return account(loaded.ID)
}

// readArchive reads what a Docker archive says of its one image.
func readArchive(archive []byte) (image.InspectResponse, error) {
	files, err := untar(bytes.NewReader(archive))
	if err != nil {
		return image.InspectResponse{}, err
	}
	var manifest []struct{ Config string }
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil || len(manifest) != 1 {
		return image.InspectResponse{}, errors.Join(errors.New("the archive's manifest.json is not that of one image"), err)
	}
	text := files[manifest[0].Config]
	var config dockerspec.DockerOCIImage
	if err := json.Unmarshal(text, &config); err != nil {
		return image.InspectResponse{}, fmt.Errorf("%s: %w", manifest[0].Config, err)
	}
	found := image.InspectResponse{ID: fmt.Sprintf("sha256:%x", sha256.Sum256(text)), Os: config.OS, Architecture: config.Architecture, Config: &config.Config}
	for _, layer := range config.RootFS.DiffIDs {
		found.RootFS.Layers = append(found.RootFS.Layers, layer.String())
	}
	return found, nil
}

// untar returns the regular files of a tar.
func untar(archive io.Reader) (map[string][]byte, error) {
	files := map[string][]byte{}
	for in := tar.NewReader(archive); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err == nil && header.Typeflag == tar.TypeReg {
			files[header.Name], err = io.ReadAll(in)
		}
		if err != nil {
			return nil, err
		}
	}
}

func (e *Engine) ImageSave(ctx context.Context, ids []string, _ ...client.ImageSaveOption) (io.ReadCloser, error) {
	if err := e.did("ImageSave", ""); err != nil {
		return nil, err
	}
	e.Mu.Lock()
	defer e.Mu.Unlock()
	if own := e.ArchiveOf[ids[0]]; own != nil {
		return io.NopCloser(own(ctx)), nil
	}
	if e.Archive == nil {
		_, err := e.image(ids[0])
		return nil, err
	}
	return io.NopCloser(e.Archive), nil
}

// ImageImport makes an image of a tar of files.
func (e *Engine) ImageImport(_ context.Context, source image.ImportSource, ref string, options image.ImportOptions) (io.ReadCloser, error) {
	if err := e.did("ImageImport", ref); err != nil {
		return nil, err
	}
	sum := sha256.New()
	files, err := untar(io.TeeReader(source.Source, sum))
	if err != nil {
		return nil, err
	}
	fmt.Fprint(sum, options.Changes) // a hash takes everything
	e.Mu.Lock()
	defer e.Mu.Unlock()
	e.Imported = nil
	for name := range files {
		e.Imported = append(e.Imported, name)
	}
	made := image.InspectResponse{ID: fmt.Sprintf("sha256:%x", sum.Sum(nil)), Os: "linux", Architecture: runtime.GOARCH, Config: Labelled(options.Changes)}
	if old, err := e.image(ref); err == nil {
		e.untag(ref, old)
	}
	e.Images[made.ID], e.Images[ref] = made, made
	return io.NopCloser(strings.NewReader(`{"status":"` + made.ID + `"}`)), nil
}

func (e *Engine) ContainerCommit(_ context.Context, id string, options container.CommitOptions) (container.CommitResponse, error) {
	if err := e.did("ContainerCommit", fmt.Sprintf("pause=%t", options.Pause)); err != nil {
		return container.CommitResponse{}, err
	}
	e.Mu.Lock()
	defer e.Mu.Unlock()
	_, from, err := e.Find(id)
	if err != nil {
		return container.CommitResponse{}, err
	}
	made := image.InspectResponse{ID: Loaded, Os: "linux", Architecture: runtime.GOARCH, Size: 4096, Config: Labelled(options.Changes)}
	if from.Image != "" {
		e.committed++
		made.ID = "sha256:" + strings.Repeat(strconv.Itoa(e.committed+1), 64)[:64]
		e.Parents[made.ID] = from.Image
	}
	e.Images[made.ID] = made
	return container.CommitResponse{ID: made.ID}, nil
}

// Labelled is an image's configuration after these instructions of a Dockerfile.
func Labelled(changes []string) *dockerspec.DockerOCIImageConfig {
	config := &dockerspec.DockerOCIImageConfig{}
	for _, change := range changes {
		if label, found := strings.CutPrefix(change, "LABEL "); found {
			config.Labels = map[string]string{}
			for one := range strings.FieldsSeq(label) {
				name, value, _ := strings.Cut(one, "=")
				config.Labels[name] = strings.Trim(value, `"`)
			}
		}
	}
	return config
}
