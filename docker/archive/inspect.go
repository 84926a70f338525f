package archive

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// InspectedLayer is what was found in a layer.
type InspectedLayer struct {
	DiffID      digest.Digest // of the uncompressed layer
	Unpacked    int64         // size of its files, in bytes
	Compression string        // gzip, zstd, xz, bzip2, or empty
	MediaType   string        // OCI's, of such a layer; empty for a compression that it has none of
}

// InspectLayer reads bytes that may be a layer, packed or plain, to their end. It returns an *Error for what is no layer, or
// one beyond the limits, and errors of the content as they are. Layers that are inspected with the same limits, one after
// another, share them: all that was unpacked counts, valid or not. When ctx ends, nothing more is unpacked, and the error is
// that of ctx.
func InspectLayer(ctx context.Context, content io.Reader, limits *Limits) (InspectedLayer, error) {
	from := &countingReader{from: content}
	found, err := limits.inspect(ctx, from)
	if from.failed == nil {
		_, _ = io.Copy(io.Discard, from) // who sends the bytes sends them all
	}
	switch {
	case from.failed != nil:
		return InspectedLayer{}, from.failed
	case err != nil && ctx.Err() != nil:
		return InspectedLayer{}, ctx.Err()
	case err != nil:
		return InspectedLayer{}, refuse("it %v", explainLayer(err))
	}
	return InspectedLayer{
		DiffID: digest.Digest(found.DiffID), Unpacked: found.Unpacked,
		Compression: found.Compression, MediaType: layerMediaTypes[found.Compression],
	}, nil
}

// layerMediaTypes are OCI's, by compression.
var layerMediaTypes = map[string]string{
	"": ocispec.MediaTypeImageLayer, "gzip": ocispec.MediaTypeImageLayerGzip, "zstd": ocispec.MediaTypeImageLayerZstd,
}
