package archive

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// configMediaTypes are the media types of configurations that Docker accepts. The third is from old registries.
var configMediaTypes = []string{"", ocispec.MediaTypeImageConfig, "application/vnd.docker.container.image.v1+json", "application/octet-stream"}

// CheckImageManifest returns an *Error for a manifest that is not an image's, such as that of a chart or a signature.
// The error says what it is.
func CheckImageManifest(m ocispec.Manifest) error {
	if m.SchemaVersion == 1 {
		return refuse("it is in the format of registries before Docker 1.10 (schema 1), which is not read: 'skopeo copy --format v2s2' converts it")
	}
	if !slices.Contains(configMediaTypes, m.Config.MediaType) {
		return refuse("it is no image but %s", describeMediaType(m.ArtifactType, m.Config.MediaType))
	}
	for _, layer := range m.Layers {
		switch {
		case strings.HasSuffix(layer.MediaType, "+encrypted"):
			return refuse("its layers are encrypted (%.80q), which Docker cannot read", layer.MediaType)
		case layer.MediaType != "" && layer.MediaType != "application/octet-stream" && !strings.Contains(layer.MediaType, "tar"):
			return refuse("it is no image but %s", describeMediaType(m.ArtifactType, layer.MediaType))
		}
	}
	return nil
}

// artifactKinds maps a part of a media type to a kind of artifact.
var artifactKinds = []struct{ part, kind string }{
	{"helm", "a Helm chart"},
	{"cosign", "a signature"},
	{"notary", "a signature"},
	{"sigstore", "a signature"},
	{"in-toto", "an attestation"},
	{"spdx", "an SBOM"},
	{"cyclonedx", "an SBOM"},
	{"syft", "an SBOM"},
	{"sbom", "an SBOM"},
	{"wasm", "a WebAssembly module"},
	{"docker.plugin", "a Docker plugin"},
	{"buildkit.cacheconfig", "a cache of BuildKit's"},
	{"compose", "a Compose project"},
}

// describeMediaType names the kind of an artifact. The first media type that is known decides.
func describeMediaType(mediaTypes ...string) string {
	for _, mediaType := range mediaTypes {
		for _, one := range artifactKinds {
			if strings.Contains(mediaType, one.part) {
				return fmt.Sprintf("%s (%.80q)", one.kind, mediaType)
			}
		}
	}
	return fmt.Sprintf("something else (%.80q)", cmp.Or(mediaTypes...))
}
