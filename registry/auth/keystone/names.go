package keystone

import (
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
)

// idPattern is what Keystone makes for projects and application credentials.
var idPattern = regexp.MustCompile(`^[0-9a-f]{32}$`)

// login is who somebody says he is.
type login struct {
	user, domain string
	credential   string // an application credential's id, instead
}

// parseLogin reads what is typed as the user's name: NAME, DOMAIN/NAME, or the id of an application credential. A user
// who is called like an id, or has a slash in his name, can write his domain, too.
func parseLogin(typed, domain string) login {
	if idPattern.MatchString(typed) {
		return login{credential: typed}
	}
	if other, name, ok := strings.Cut(typed, "/"); ok {
		return login{user: name, domain: other}
	}
	return login{user: typed, domain: domain}
}

// nobody can be called so.
func (l login) nobody() bool { return l.credential == "" && (l.user == "" || l.domain == "") }

// unknown tells of an application credential that there is not. Of users Keystone says that neither in this way nor in
// another, and other servers, where the URL is wrong, have no request ids.
func (l login) unknown(err error) bool {
	var answer gophercloud.ErrUnexpectedResponseCode
	return l.credential != "" && errors.As(err, &answer) && answer.Actual == http.StatusNotFound &&
		answer.ResponseHeader.Get("X-Openstack-Request-Id") != ""
}

// with is what Keystone is asked for a token with.
func (l login) with(password string) tokens.AuthOptionsBuilder {
	if l.credential != "" {
		return &tokens.AuthOptions{ApplicationCredentialID: l.credential, ApplicationCredentialSecret: password}
	}
	return unscoped{&tokens.AuthOptions{Username: l.user, DomainName: l.domain, Password: password}}
}

// unscoped asks for no project, also for a user who has a default one: not all Keystones exchange a project's token for
// another's.
type unscoped struct{ *tokens.AuthOptions }

// ToTokenV3ScopeMap implements tokens.AuthOptionsBuilder.
func (unscoped) ToTokenV3ScopeMap() (map[string]any, error) {
	return map[string]any{"unscoped": map[string]any{}}, nil
}

// projectOf is the project in a repository's name, PROJECT/NAME; empty if there is none.
func projectOf(repository string) string {
	project, rest, _ := strings.Cut(repository, "/")
	if rest == "" {
		return ""
	}
	return project
}
