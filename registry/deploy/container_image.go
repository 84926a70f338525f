package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"

	"ndock/registry"
)

// ensureImage returns the image of the program. It makes one unless the engine has an image of these very bytes.
func ensureImage(ctx context.Context, engine Engine, program *executable, version string, report registry.Reporter) (string, error) {
	found, err := images(ctx, engine, labelBinary+"="+program.digest)
	if err != nil {
		return "", err
	}
	ref := imageName + ":" + tag(version)
	for _, one := range found {
		if slices.Contains(one.RepoTags, ref) {
			return ref, nil
		}
	}
	if len(found) > 0 { // of the same bytes under another version, or untagged by somebody
		return found[0].ID, nil
	}
	report.Step("making image %s of this ndock", ref)
	return ref, explain("make image "+ref, importImage(ctx, engine, program, ref))
}

func importImage(ctx context.Context, engine Engine, program *executable, ref string) error {
	read, write := io.Pipe()
	defer read.Close() // ends the writer when the engine stops listening
	go func() { write.CloseWithError(program.archive(write)) }()
	answer, err := engine.ImageImport(ctx, image.ImportSource{Source: read, SourceName: "-"}, ref, image.ImportOptions{
		Message: "ndock registry",
		Changes: []string{
			`ENTRYPOINT ["/ndock","registry","serve"]`,
			`LABEL ` + labelBinary + `="` + program.digest + `"`,
		},
	})
	if err != nil {
		return err
	}
	defer answer.Close()
	return readProgress(answer)
}

// readProgress reads the engine's answer to the end. Once an import has begun, a failure is reported only there.
func readProgress(answer io.Reader) error {
	for messages := json.NewDecoder(answer); ; {
		var message struct{ Error string }
		err := messages.Decode(&message)
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("read the engine's answer: %w", err)
		case message.Error != "":
			return errors.New(strings.TrimSpace(message.Error))
		}
	}
}

// images returns the images with the label.
func images(ctx context.Context, engine Engine, label string) ([]image.Summary, error) {
	found, err := engine.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("label", label))})
	return found, explain("look for the registry's image", err)
}

// removeOtherImages removes all images of ndock's registry but that of one binary, and those that a container uses.
func removeOtherImages(ctx context.Context, engine Engine, keep string) error {
	found, err := images(ctx, engine, labelBinary)
	if err != nil {
		return err
	}
	for _, one := range found {
		if one.Labels[labelBinary] == keep {
			continue
		}
		_, err := engine.ImageRemove(ctx, one.ID, image.RemoveOptions{Force: len(one.RepoTags) > 1})
		if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
			return explain("remove image "+one.ID, err)
		}
	}
	return nil
}

// tag makes an image tag of a version, which may have build metadata.
func tag(version string) string {
	clean := strings.Trim(regexp.MustCompile(`[^A-Za-z0-9_.-]+`).ReplaceAllString(version, "-"), "-.")
	if clean == "" {
		return "latest"
	}
	return clean[:min(len(clean), 128)]
}
