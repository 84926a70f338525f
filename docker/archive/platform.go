package archive

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Platform is the system that an image is for, in Go's names. Docker and OCI use the same.
type Platform struct{ OS, Architecture, Variant string }

// ParsePlatform reads OS/ARCH or OS/ARCH/VARIANT.
func ParsePlatform(text string) (Platform, error) {
	parts := strings.Split(text, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts[:2], "") {
		return Platform{}, fmt.Errorf("%q is not OS/ARCH or OS/ARCH/VARIANT", text)
	}
	return Platform{OS: parts[0], Architecture: parts[1], Variant: strings.Join(parts[2:], "")}, nil
}

// MatchingManifests returns the entries of an index that fit the platform, each once; at the top of a layout only
// those with the requested name. If exactly one has the requested variant, it returns only that. Below the top,
// entries that state their platform come before those that do not. At the top they do not, because these may be
// different images. An attestation is never an image.
func MatchingManifests(all []ocispec.Descriptor, o Options, top bool) []ocispec.Descriptor {
	var matching, stated, exact []ocispec.Descriptor
	seen := map[digest.Digest]bool{} // an image may have several names
	for _, one := range all {
		named := !top || o.Name == "" || HasName(one.Annotations, o.Name)
		fits := len(all) == 1 || one.Platform == nil || o.Platform.Matches(DescriptorPlatform(one))
		if named && fits && !isAttestation(one) && !seen[one.Digest] {
			seen[one.Digest] = true
			matching = append(matching, one)
			if one.Platform != nil {
				stated = append(stated, one)
			}
		}
	}
	if !top && len(stated) > 0 {
		matching = stated
	}
	for _, one := range matching {
		if DescriptorPlatform(one).Variant == o.Platform.Variant {
			exact = append(exact, one)
		}
	}
	if len(exact) == 1 {
		return exact
	}
	return matching
}

// Platforms returns the first ten platforms of an index, as text.
func Platforms(all []ocispec.Descriptor) string {
	const shown = 10
	var texts []string
	for _, one := range all {
		if one.Platform != nil && !isAttestation(one) && len(texts) < shown {
			texts = append(texts, fmt.Sprintf("%.80s", DescriptorPlatform(one)))
		}
	}
	return cmp.Or(strings.Join(texts, ", "), "none")
}

// DescriptorPlatform returns the platform that an index states for an entry, or an empty one.
func DescriptorPlatform(one ocispec.Descriptor) Platform {
	if one.Platform == nil {
		return Platform{}
	}
	return Platform{one.Platform.OS, one.Platform.Architecture, one.Platform.Variant}
}

func (p Platform) String() string {
	return strings.TrimSuffix(p.OS+"/"+p.Architecture+"/"+p.Variant, "/")
}

// Or fills empty fields of p from the first of the others that has them.
func (p Platform) Or(others ...Platform) Platform {
	for _, other := range others {
		p.OS = cmp.Or(p.OS, other.OS)
		if p.Architecture == "" {
			p.Architecture, p.Variant = other.Architecture, other.Variant
		}
	}
	return p
}

// IsComplete reports whether system and architecture are both known.
func (p Platform) IsComplete() bool { return p.OS != "" && p.Architecture != "" }

// Matches reports whether an image for the other platform fits p. Variants are compared only where both have one.
func (p Platform) Matches(other Platform) bool {
	return p.OS == other.OS && goArchitecture(p.Architecture) == goArchitecture(other.Architecture) &&
		(p.Variant == "" || other.Variant == "" || p.Variant == other.Variant)
}

// goArchitecture returns Go's name of an architecture. An image may use the kernel's name; Docker accepts both.
func goArchitecture(name string) string {
	switch name {
	case "x86_64", "x86-64":
		return "amd64"
	case "aarch64":
		return "arm64"
	}
	return name
}
