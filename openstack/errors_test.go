package openstack

import (
	"errors"
	"net/http"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
)

func TestCleanMessage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ body, want string }{
		"Nova":            {`{"itemNotFound": {"code": 404, "message": "Instance nope could not be found."}}`, "Instance nope could not be found."},
		"Neutron":         {`{"NeutronError": {"type": "NetworkNotFound", "message": "Network nope could not be found.", "detail": ""}}`, "Network nope could not be found."},
		"Keystone":        {`{"error":{"code":401,"message":"The request you have made requires authentication.","title":"Unauthorized"}}`, "The request you have made requires authentication."},
		"Placement":       {`{"errors": [{"status": 403, "title": "Forbidden", "detail": "Access was denied to this resource.\n\n Policy does not allow it.  ", "request_id": "req-1"}]}`, "Access was denied to this resource. Policy does not allow it."},
		"Glance":          {"<html>\n <head>\n  <title>404 Not Found</title>\n </head>\n <body>\n  <h1>404 Not Found</h1>\n  No image found with ID nope<br /><br />\n\n\n\n </body>\n</html>", "No image found with ID nope"},
		"Glance, as JSON": {`{"message": "Attribute 'a<c>' is reserved.<br /><br />\n\n\n", "code": "403 Forbidden", "title": "Forbidden"}`, "Attribute 'a<c>' is reserved."},
		"Glance, escaped": {"<html>\n <head>\n  <title>404 Not Found</title>\n </head>\n <body>\n  <h1>404 Not Found</h1>\n  No image found with ID a&#x27;b&lt;c&gt;<br /><br />\n </body>\n</html>", "No image found with ID a'b<c>"},
		"Glance, in JSON": {`{"message": "Image nope is protected and cannot be deleted.<br /><br />\n\n\n", "code": "403 Forbidden", "title": "Forbidden"}`, "Image nope is protected and cannot be deleted."},
		"a proxy":         {"<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n", "No server is available to handle this request."},
		"plain":           {"Bad\r\ngateway\n", "Bad gateway"},
		"many lines":      {`{"badRequest": {"code": 400, "message": "Invalid input.\nValue: x"}}`, "Invalid input. Value: x"},
		"empty":           {"", ""},
		"no message":      {`{"computeFault": {"code": 500}}`, ""},
		"not objects":     {`[1, "two", null]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := cleanMessage([]byte(test.body)); got != test.want {
				t.Errorf("message %q, want %q", got, test.want)
			}
		})
	}
}

func refusal(status int, body string) error {
	return gophercloud.ErrUnexpectedResponseCode{
		Actual: status, Body: []byte(body), ResponseHeader: http.Header{"X-Openstack-Request-Id": {"req-7"}},
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err        error
		want, hint string
	}{
		"a service's sentence": {refusal(409, `{"conflictingRequest": {"message": "It is busy."}}`), "do it: It is busy. (req-7)", ""},
		"no sentence":          {refusal(503, ""), "do it: Service Unavailable (req-7)", ""},
		"no sentence in HTML":  {refusal(502, "<html><body><h1>502 Bad Gateway</h1></body></html>"), "do it: Bad Gateway (req-7)", ""},
		"no credentials":       {refusal(401, `{"error": {"message": "No."}}`), "do it: No. (req-7)", "check the credentials, or the token's age; 'openstack token issue' tries the same ones"},
		"no right":             {refusal(403, `{"forbidden": {"message": "Policy doesn't allow it."}}`), "do it: Policy doesn't allow it. (req-7)", "the cloud's policy does not let this user do that; an administrator may"},
		"Nova's quota":         {refusal(403, `{"forbidden": {"message": "Quota exceeded for instances: Requested 1"}}`), "do it: Quota exceeded for instances: Requested 1 (req-7)", "'openstack limits show --absolute' shows the quota"},
		"Nova's other quota":   {refusal(403, `{"forbidden": {"message": "Maximum number of metadata items exceeds 128"}}`), "do it: Maximum number of metadata items exceeds 128 (req-7)", "'openstack limits show --absolute' shows the quota"},
		"Glance's quota":       {refusal(413, "Image exceeds the storage quota"), "do it: Image exceeds the storage quota (req-7)", "'openstack limits show --absolute' shows the quota"},
		"no service at all":    {errors.New("connection refused"), "do it: connection refused", ""},
		"after a second login": {&gophercloud.ErrErrorAfterReauthentication{ErrOriginal: refusal(401, `{"error": {"message": "No."}}`)}, "do it: No. (req-7)", "check the credentials, or the token's age; 'openstack token issue' tries the same ones"},
		"no second login":      {&gophercloud.ErrUnableToReauthenticate{ErrOriginal: refusal(401, "x"), ErrReauth: refusal(401, `{"error": {"message": "No."}}`)}, "do it: No. (req-7)", "check the credentials, or the token's age; 'openstack token issue' tries the same ones"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got *Error
			if !errors.As(explain("do it", test.err), &got) {
				t.Fatal("not an *Error")
			}
			if got.Error() != test.want {
				t.Errorf("error %q, want %q", got, test.want)
			}
			if got.Hint() != test.hint {
				t.Errorf("hint %q, want %q", got.Hint(), test.hint)
			}
		})
	}
}

func TestExplainKeepsTheCause(t *testing.T) {
	t.Parallel()
	if err := explain("do it", refusal(404, "gone")); !gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
		t.Errorf("%v is no 404 any more", err)
	}
}
