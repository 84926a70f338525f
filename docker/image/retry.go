package image

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"ndock/docker/archive"
	"ndock/docker/transfer"
)

// retryable reports whether pushing again may succeed. reached says that the registry has answered before: such a
// registry may refuse connections while it restarts.
func retryable(err error, reached bool) bool {
	var invalid *archive.Error
	var registryErr *transport.Error
	var stalled *transfer.IdleError
	var request *url.Error
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.As(err, &invalid):
		return false
	case errors.As(err, &registryErr):
		return isTransient(registryErr)
	case errors.As(err, &stalled), errors.Is(err, errReadTwice):
		return true
	case errors.Is(err, syscall.ECONNREFUSED):
		return reached
	case errors.As(err, &request) && (request.Op == "Patch" || request.Op == "Put"): // the registry has answered before
		return true
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed)
}

// backOff waits before the next attempt, longer each time. It returns an error when the context ends.
func (t Transports) backOff(ctx context.Context, attempt int, failed error) error {
	pause := time.Second << min(attempt, 5)
	if t.Retrying != nil {
		t.Retrying(failed, pause)
	}
	if err := transfer.Wait(ctx, pause); err != nil {
		return errors.Join(err, failed)
	}
	return nil
}

// readOnceTip is the tip for a failure that a retry might mend, if the source can be read only once.
const readOnceTip = "an image from stdin cannot be sent twice: try again, or copy it to a file (docker-archive:FILE) first"

// transientCodes are the errors of an upload that the registry has forgotten, as after a restart, or that was damaged
// on the way.
var transientCodes = []transport.ErrorCode{transport.BlobUploadUnknownErrorCode, transport.BlobUploadInvalidErrorCode, transport.DigestInvalidErrorCode}

func isTransient(registryErr *transport.Error) bool {
	return registryErr.StatusCode >= http.StatusInternalServerError || registryErr.StatusCode == http.StatusTooManyRequests || registryErr.Temporary() ||
		slices.ContainsFunc(registryErr.Errors, func(one transport.Diagnostic) bool { return slices.Contains(transientCodes, one.Code) })
}
