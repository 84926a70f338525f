package client

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"ndock/docker/transfer"
)

// Error is what a registry has refused, or could not be asked.
type Error struct {
	Op   string
	Err  error
	hint string
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %v", e.Op, transfer.WithoutQueries(e.Err)) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hint returns what may help.
func (e *Error) Hint() string { return e.hint }

// damage is an error in what a registry has stored, and not of the registry.
type damage struct {
	Err  error
	mend remedy
}

// remedy is what mends damage besides a push.
type remedy int

const (
	nothing  remedy = iota // clients hear that it is not there
	deleting               // some clients send nothing as long as the tag is there
	freeing                // clients hear that the registry has it
)

func (d *damage) Error() string { return d.Err.Error() }

// Unwrap returns the cause.
func (d *damage) Unwrap() error { return d.Err }

// hint returns what mends it; remove is the command that deletes the tag.
func (d *damage) hint(remove string) string {
	switch d.mend {
	case deleting:
		return remove + ", then push it again"
	case freeing:
		return "a push alone does not replace it: " + remove + ", then 'ndock registry gc --untagged' where the registry runs, then push it again"
	}
	return "push it again, or " + remove
}

func (r Registry) explain(op string, err error) error {
	if err == nil {
		return nil
	}
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &untrusted): // and that plain HTTP was of no use either does not matter
		return &Error{Op: op, Err: untrusted, hint: transfer.TrustHint(untrusted, r.Address)}
	case status(err) == http.StatusUnauthorized, status(err) == http.StatusForbidden:
		return &Error{Op: op, Err: inWords(err), hint: "log in with 'docker login " + r.Address + "'"}
	case gone(err):
		return &Error{Op: op, Err: errors.New("it is not there"), hint: "'ndock registry list' shows what is"}
	case !r.PlainHTTP && strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"): // net/http has no value for it
		return &Error{Op: op, Err: r.noAnswer(err), hint: "--insecure speaks plain HTTP, in which all can be read on the way"}
	case status(err) == http.StatusNotFound:
		return &Error{Op: op, Err: inWords(err), hint: "see whether it is a registry that listens at " + r.Address}
	case status(err) != 0:
		return &Error{Op: op, Err: inWords(err)}
	case errors.Is(err, errTooManyNames):
		return &Error{Op: op, Err: err}
	}
	return &Error{Op: op, Err: r.noAnswer(err)}
}

// inWords says what a registry has answered that gives no reason, which may be none.
func inWords(err error) error {
	var answer *transport.Error
	if !errors.As(err, &answer) || len(answer.Errors) > 0 {
		return err
	}
	text := fmt.Sprintf("the registry answered %d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	if answer.StatusCode < http.StatusBadRequest {
		text = fmt.Sprintf("no registry answers this with %d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	}
	return transfer.Reword(text, err)
}

// noAnswer says why a registry, or a storage that it names, has not answered, or that it has with nonsense.
func (r Registry) noAnswer(err error) error {
	var request *url.Error
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return transfer.Reword("the registry's answer is no JSON: "+syntax.Error(), err)
	}
	if !errors.As(err, &request) {
		return err
	}
	asked, bad := url.Parse(request.URL)
	if reason := transfer.NoAnswer(err); reason != "" && bad == nil && asked.Host == r.Address {
		return transfer.Reword(fmt.Sprintf("no registry answers at %s: %s", r.Address, reason), err)
	}
	return transfer.InWords(err)
}

// status returns the status of a registry's answer; 0 for none.
func status(err error) int {
	var answer *transport.Error
	if errors.As(err, &answer) {
		return answer.StatusCode
	}
	return 0
}

// pageTooLarge returns whether a registry refuses to list so many names at once.
func pageTooLarge(err error) bool {
	var answer *transport.Error
	return errors.As(err, &answer) && slices.ContainsFunc(answer.Errors, func(one transport.Diagnostic) bool {
		return one.Code == "PAGINATION_NUMBER_INVALID"
	})
}

// gone returns whether a registry says that something is not there. A web server that is no registry answers 404, too.
func gone(err error) bool {
	var answer *transport.Error
	return status(err) == http.StatusNotFound && errors.As(err, &answer) && len(answer.Errors) > 0
}
