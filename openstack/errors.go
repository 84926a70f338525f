package openstack

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"ndock/docker/transfer"
	"ndock/openstack/clouds"
	"ndock/openstack/transport"
)

// Error is something that the cloud would not or could not do.
type Error struct {
	Op        string // what was tried, on which object
	Status    int    // of HTTP; 0 when it did not come to that
	RequestID string // by which the operator finds it in the services' logs
	Err       error
	Setting   string // the environment's variable that would mend it, as OS_CLOUD; empty where it is none
	hint      string
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s: %v", e.Op, transfer.WithoutQueries(e.Err))
	if e.RequestID != "" {
		text += " (" + e.RequestID + ")"
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hint is what may help.
func (e *Error) Hint() string { return e.hint }

// explain says what a service answered in the service's own words, instead of the HTTP round them.
func explain(op string, err error) *Error {
	var login *gophercloud.ErrUnableToReauthenticate
	if errors.As(err, &login) { // which does not unwrap
		err = login.ErrReauth
	}
	var response gophercloud.ErrUnexpectedResponseCode
	if !errors.As(err, &response) {
		return noAnswer(op, transfer.InWords(err))
	}
	message := cleanMessage(response.Body)
	if message == "" {
		message = http.StatusText(response.Actual)
	}
	if pause := asksToWait(err); pause > 0 {
		message = strings.TrimSuffix(message, ".") + fmt.Sprintf("; it asks to wait for %s", pause.Round(time.Second))
	}
	return &Error{
		Op: op, Status: response.Actual, RequestID: transport.RequestID(response.ResponseHeader),
		Err: &serviceError{message, err}, hint: hintFor(response.Actual, message),
	}
}

// explainLogin says, too, that it may not be Keystone that has answered, or that it was not found.
func explainLogin(op string, err error) *Error {
	failed := explain(op, err)
	if text := noLogin(failed, err); text != "" {
		failed.Err = transfer.Reword(text, failed.Err)
	}
	busy := failed.Status == http.StatusTooManyRequests || failed.Status >= http.StatusInternalServerError && failed.Status != http.StatusNotImplemented
	if failed.hint == "" && !busy && !errors.Is(err, context.Canceled) {
		failed.Setting, failed.hint = clouds.SettingAuthURL, "check Keystone's address, "+clouds.AuthURLHint
	}
	return failed
}

// noLogin says what came in place of a token; it is empty where the error says so itself.
func noLogin(failed *Error, err error) string {
	var syntax *json.SyntaxError
	var other *json.UnmarshalTypeError
	var request *url.Error
	switch {
	case failed.Status != 0 && failed.Status < http.StatusBadRequest:
		return fmt.Sprintf("what answers there is not Keystone: it says %d %s", failed.Status, http.StatusText(failed.Status))
	case failed.Status == http.StatusNotFound:
		return fmt.Sprintf("Keystone is not there: %v", failed.Err)
	case failed.Status != 0 || failed.Err != err: // there are words for it
		return ""
	case errors.As(err, &request):
		return request.Err.Error()
	case errors.As(err, &syntax), errors.As(err, &other):
		return "what answers there is not Keystone: it sends no token"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "Keystone's answer broke off"
	}
	return ""
}

// noAnswer says what may help where nobody answered.
func noAnswer(op string, err error) *Error {
	failed := &Error{Op: op, Err: err}
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		failed.Setting, failed.hint = clouds.SettingCA, "name the file of the authority's certificate: OS_CACERT=FILE, or cacert in clouds.yaml"
	}
	return failed
}

// isQuota knows Nova's ways to say that a quota is used up, which it answers as 403 Forbidden.
func isQuota(message string) bool {
	return strings.HasPrefix(message, "Quota exceeded") || strings.HasPrefix(message, "Maximum number of")
}

var reserved = regexp.MustCompile(`^Attribute '(.*)' is reserved\.$`)

// reservedProperty returns the property that Glance does not let a user set, by its property protections; an empty one where it
// says something else.
func reservedProperty(message string) string {
	if found := reserved.FindStringSubmatch(message); found != nil {
		return found[1]
	}
	return ""
}

func hintReserved(property string) string {
	const hint = "Glance's property protections keep it for others; 'ndock doctor' names all that a push needs"
	if slices.Contains(layeredProperties, property) {
		return hint + ", and --whole sends images without it"
	}
	return hint
}

func hintFor(status int, message string) string {
	switch {
	case status == http.StatusUnauthorized:
		return "check the credentials, or the token's age; 'openstack token issue' tries the same ones"
	case status == http.StatusRequestEntityTooLarge, isQuota(message):
		return "'openstack limits show --absolute' shows the quota"
	case status == http.StatusForbidden && reservedProperty(message) != "":
		return hintReserved(reservedProperty(message))
	case status == http.StatusForbidden:
		return "the cloud's policy does not let this user do that; an administrator may"
	}
	return ""
}

// serviceError is a service's own message, which still is the error that carried it.
type serviceError struct {
	message string
	cause   error
}

func (e *serviceError) Error() string { return e.message }
func (e *serviceError) Unwrap() error { return e.cause }

// asksToWait returns for how long a service that refused asks to be left alone; zero where it does not say.
func asksToWait(err error) time.Duration {
	var refused gophercloud.ErrUnexpectedResponseCode
	if !errors.As(err, &refused) {
		return 0
	}
	pause, _ := transfer.RetryAfter(refused.ResponseHeader)
	return pause
}

var (
	htmlHead = regexp.MustCompile(`(?is)<head>.*?</head>|<h1>.*?</h1>`)
	htmlTags = regexp.MustCompile(`<[^>]*>`)
)

// cleanMessage finds the sentence in a service's answer: each wraps it in another JSON, Glance with the breaks of a page, and
// proxies in HTML.
func cleanMessage(body []byte) string {
	var parsed any
	text := ""
	if json.Unmarshal(body, &parsed) == nil {
		text = strings.ReplaceAll(sentence(parsed), "<br />", " ") // Glance has a page's lines in its JSON
	} else {
		text = html.UnescapeString(htmlTags.ReplaceAllString(htmlHead.ReplaceAllString(string(body), ""), " "))
	}
	return strings.Join(strings.Fields(text), " ")
}

func sentence(value any) string {
	switch v := value.(type) {
	case map[string]any:
		for _, key := range []string{"message", "detail"} {
			if text, ok := v[key].(string); ok {
				return text
			}
		}
		return firstSentence(maps.Values(v))
	case []any: // Placement's
		return firstSentence(slices.Values(v))
	}
	return ""
}

func firstSentence(values iter.Seq[any]) string {
	for value := range values {
		if text := sentence(value); text != "" {
			return text
		}
	}
	return ""
}

// Refused tells whether the cloud has said that this is not for everyone.
func Refused(err error) bool {
	var explained *Error
	return errors.As(err, &explained) && explained.Status == http.StatusForbidden
}

// Failing tells whether a service has said that it failed by itself, which may pass.
func Failing(err error) bool {
	var explained *Error
	return errors.As(err, &explained) && explained.Status >= http.StatusInternalServerError
}
