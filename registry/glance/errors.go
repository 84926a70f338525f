package glance

import (
	"context"
	"errors"
	"net/http"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/opencontainers/go-digest"

	"ndock/registry/auth"
	"ndock/registry/refusal"
)

const retryGlance = 10 // seconds after which a client may ask Glance again

var (
	errNoUser = &Refused{Kind: LoginExpired, Reason: errors.New("log in with a user of OpenStack")}
	errFailed = &refusal.Refusal{
		Status: http.StatusInternalServerError, Code: errcode.ErrorCodeUnknown,
		Message: "the registry could not do this with Glance, and its log says why: ask who runs it",
	}
	errNeeded = &refusal.Refusal{
		Status: http.StatusMethodNotAllowed, Code: errcode.ErrorCodeUnsupported,
		Message: "an image of the project needs this blob, so it stays: delete the image first",
	}
	errSlow = &refusal.Refusal{
		Status: http.StatusServiceUnavailable, Code: errcode.ErrorCodeUnavailable, RetryAfter: retryGlance,
		Message: "Glance took too long to store the image: try again later",
	}
	errNoTurn = &refusal.Refusal{
		Status: http.StatusServiceUnavailable, Code: errcode.ErrorCodeUnavailable, RetryAfter: retryGlance, Resumable: true,
		Message: "too many images are being sent, stored or looked into: try again later",
	}
	errIdle   = errors.New("the upload stood still for too long, and has ended")
	errEnding = errors.New("the registry is ending")
)

// explain makes the answer of why something failed, has it replace distribution's, and returns it as distribution knows it. What
// Glance says to this user is passed on; all else is for the log.
func (r *Registry) explain(ctx context.Context, what string, err error) error {
	var explained errcode.Error
	if errors.As(err, &explained) {
		return explained
	}
	switch {
	case errors.Is(context.Cause(ctx), errSlow):
		err = errSlow
	case ctx.Err() != nil:
		return err // the client is gone
	}
	why := answerOf(err)
	switch {
	case why == errFailed:
		r.log.Error(what, "error", err)
	case why.Status == http.StatusUnauthorized && !auth.Forget(ctx):
		why = refusesNew(why)
		r.log.Warn(what, "error", err)
	case why.Status == http.StatusServiceUnavailable:
		r.log.Warn(what, "error", err)
	}
	refusal.Set(ctx, why)
	return why.Code.WithMessage(why.Message)
}

// refusesNew is the answer where Glance does not take a token that is new, which no other login mends.
func refusesNew(why *refusal.Refusal) *refusal.Refusal {
	return &refusal.Refusal{
		Status: http.StatusForbidden, Code: errcode.ErrorCodeDenied,
		Message: why.Message + "; Glance says so of a new token, too: see that the access rules of your application credential let it do this at Glance, " +
			"and that Glance's operator has set service_type, without which Glance takes none that has rules",
	}
}

// answerOf returns the answer to an error.
func answerOf(err error) *refusal.Refusal {
	var refused *Refused
	var denied *auth.Denied
	var known *refusal.Refusal
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &denied):
		return &refusal.Refusal{Status: http.StatusForbidden, Code: errcode.ErrorCodeDenied, Message: denied.Error()}
	case errors.Is(err, errIdle):
		return &refusal.Refusal{Status: http.StatusRequestTimeout, Code: errcode.ErrorCodeUnavailable, Message: errIdle.Error()}
	case errors.Is(err, errEnding):
		return &refusal.Refusal{Status: http.StatusServiceUnavailable, Code: errcode.ErrorCodeUnavailable, Message: errEnding.Error(), RetryAfter: retryGlance}
	case !errors.As(err, &refused):
		return errFailed
	}
	switch refused.Kind {
	case Denied:
		return &refusal.Refusal{Status: http.StatusForbidden, Code: errcode.ErrorCodeDenied, Message: refused.Error()}
	case LoginExpired:
		return &refusal.Refusal{Status: http.StatusUnauthorized, Code: errcode.ErrorCodeUnauthorized, Message: refused.Error(), Challenge: `Basic realm="ndock registry"`}
	default:
		return &refusal.Refusal{Status: http.StatusServiceUnavailable, Code: errcode.ErrorCodeUnavailable, Message: refused.Error(), RetryAfter: retryGlance}
	}
}

// maxErrors is how many blobs an answer names at most.
const maxErrors = 100

// blobsUnknown is the error for blobs that a manifest names and that are not there.
func blobsUnknown(blobs []digest.Digest) error {
	var all distribution.ErrManifestVerification
	for _, one := range blobs[:min(len(blobs), maxErrors)] {
		all = append(all, distribution.ErrManifestBlobUnknown{Digest: one})
	}
	return all
}

// invalid is the error for a manifest that cannot be taken.
func invalid(reason string) error { return errcode.ErrorCodeManifestInvalid.WithMessage(reason) }
