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

// retryable tells whether another attempt to send an image to a registry may end better. One that was reached may refuse
// connections for a moment, as it does while it starts anew.
func retryable(err error, reached bool) bool {
	var refused *archive.Error
	var answer *transport.Error
	var stalled *transfer.IdleError
	var request *url.Error
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.As(err, &refused):
		return false
	case errors.As(err, &answer):
		return isTransient(answer)
	case errors.As(err, &stalled), errors.Is(err, errReadTwice):
		return true
	case errors.Is(err, syscall.ECONNREFUSED):
		return reached
	case errors.As(err, &request) && (request.Op == "Patch" || request.Op == "Put"): // a registry that had answered before
		return true
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed)
}

// pause is longer after each attempt.
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

// readOnceTip says what to do about a failure that might have passed, had the source not been read once only.
const readOnceTip = "what comes from stdin cannot be sent anew: try again, or copy it to a file (docker-archive:FILE) first"

// passing are what a registry says of an upload that it has forgotten, as when it was started anew, and of one that was
// damaged on the way.
var transientCodes = []transport.ErrorCode{transport.BlobUploadUnknownErrorCode, transport.BlobUploadInvalidErrorCode, transport.DigestInvalidErrorCode}

func isTransient(answer *transport.Error) bool {
	return answer.StatusCode >= http.StatusInternalServerError || answer.StatusCode == http.StatusTooManyRequests || answer.Temporary() ||
		slices.ContainsFunc(answer.Errors, func(one transport.Diagnostic) bool { return slices.Contains(transientCodes, one.Code) })
}
