package clouds

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
)

// loginMethods are the values of auth_type that ndock can log in with. Each sends what its type says and nothing else,
// whatever more there is: keystoneauth does the same.
var loginMethods = map[string]func(settings) (gophercloud.AuthOptions, error){
	"password":                withPassword,
	"v3password":              withPassword,
	"token":                   withToken,
	"v3token":                 withToken,
	"v3applicationcredential": withApplicationCredential,
	"v3totp":                  withPasscode,
	"v3multifactor":           withSeveral,
}

// ErrLoginMethod is the refusal of an auth_type that ndock does not know.
var ErrLoginMethod = errors.New("ndock cannot log in this way; it can with password, token, v3applicationcredential, v3totp and v3multifactor")

// authOptions returns what is sent to Keystone.
func authOptions(s settings) (gophercloud.AuthOptions, error) {
	kind := s.text("auth_type", "auth_plugin")
	if kind == "" {
		kind = impliedType(s)
	}
	method, ok := loginMethods[kind]
	if !ok {
		return gophercloud.AuthOptions{}, &Error{
			Op: "auth_type " + kind, Err: ErrLoginMethod,
			hint: "make an application credential with a client that can ('openstack application credential create NAME'), and use that one",
		}
	}
	address := s.expanded(s.text("auth_url"))
	if err := checkAddress(address); err != nil {
		return gophercloud.AuthOptions{}, err
	}
	auth, err := method(s)
	if err != nil {
		return gophercloud.AuthOptions{}, fmt.Errorf("auth_type %s: %w", kind, err)
	}
	auth.IdentityEndpoint = keystoneV3(address)
	return auth, nil
}

// checkAddress refuses what cannot be Keystone's address. The error does not have it, as there may be a password in it.
func checkAddress(address string) error {
	parsed, err := url.Parse(address)
	switch {
	case address == "":
		err = errors.New("there is none, so it is not known where Keystone is")
	case err == nil && (parsed.Scheme == "http" || parsed.Scheme == "https") && parsed.Hostname() != "":
		return nil
	case !strings.Contains(address, "://"):
		err = errors.New("it does not begin with http:// or https://")
	case err != nil: // which could have a part of a password
		err = errors.New("it is no address of HTTP")
	case parsed.Hostname() == "":
		err = errors.New("it names no host")
	default:
		err = fmt.Errorf("it begins with %s://, and Keystone's with http:// or https://", parsed.Scheme)
	}
	return &Error{Op: "auth_url", Err: err, Setting: SettingAuthURL, hint: "write it, in " + AuthURLHint}
}

// keystoneV3 returns the address of Keystone's third version, the only one left. It is not asked for: behind a proxy
// Keystone may answer with an address of its own, without TLS, and the password would go there.
func keystoneV3(address string) string {
	return anyVersion.ReplaceAllString(strings.TrimRight(address, "/"), "") + "/v3"
}

// impliedType guesses the type where none is given. For openstacksdk that is a password; ndock takes what there is,
// and what can do least first.
func impliedType(s settings) string {
	switch {
	case s.text("application_credential_secret") != "":
		return "v3applicationcredential"
	case s.text("password") == "" && s.text("token", "auth_token") != "":
		return "token"
	}
	return "password"
}

func withPassword(s settings) (gophercloud.AuthOptions, error) {
	auth, err := userAndScope(s)
	if auth.Password = s.text("password"); err == nil && auth.Password == "" {
		err = errors.New("there is no password")
	}
	return auth, err
}

func withPasscode(s settings) (gophercloud.AuthOptions, error) {
	auth, err := userAndScope(s)
	if auth.Passcode = s.text("passcode"); err == nil && auth.Passcode == "" {
		err = errors.New("there is no passcode (OS_PASSCODE)")
	}
	return auth, err
}

// withSeveral logs in with a password and a passcode, which Keystone checks together.
func withSeveral(s settings) (gophercloud.AuthOptions, error) {
	auth, err := userAndScope(s)
	methods := authMethods(s("auth_methods"))
	for _, method := range methods {
		var one gophercloud.AuthOptions
		switch method {
		case "v3password":
			one, err = withPassword(s)
			auth.Password = one.Password
		case "v3totp":
			one, err = withPasscode(s)
			auth.Passcode = one.Passcode
		default:
			err = fmt.Errorf("ndock cannot do %q of its auth_methods, only v3password and v3totp", method)
		}
		if err != nil {
			return auth, err
		}
	}
	if len(methods) == 0 {
		err = errors.New("there are no auth_methods")
	}
	return auth, err
}

func authMethods(v value) []string {
	var methods []string
	for _, method := range v.list {
		methods = append(methods, method.text)
	}
	for method := range strings.SplitSeq(v.text, ",") {
		if method = strings.TrimSpace(method); method != "" {
			methods = append(methods, method)
		}
	}
	return methods
}

// withToken logs in with a token, which knows its user.
func withToken(s settings) (gophercloud.AuthOptions, error) {
	scope, err := loginScope(s)
	auth := gophercloud.AuthOptions{TokenID: s.text("token", "auth_token"), Scope: scope}
	if err == nil && auth.TokenID == "" {
		err = errors.New("there is no token")
	}
	return auth, err
}

// withApplicationCredential logs in with a credential, which has a project of its own. Only one that is given by its
// name needs its user.
func withApplicationCredential(s settings) (gophercloud.AuthOptions, error) {
	auth := gophercloud.AuthOptions{
		ApplicationCredentialID:     s.text("application_credential_id"),
		ApplicationCredentialSecret: s.text("application_credential_secret"),
	}
	if auth.ApplicationCredentialSecret == "" {
		return auth, errors.New("there is no application_credential_secret")
	}
	if auth.ApplicationCredentialID != "" {
		return auth, nil
	}
	if auth.ApplicationCredentialName = s.text("application_credential_name"); auth.ApplicationCredentialName == "" {
		return auth, errors.New("there is no application_credential_id, and no application_credential_name")
	}
	return auth, setUser(&auth, s)
}

func userAndScope(s settings) (gophercloud.AuthOptions, error) {
	var auth gophercloud.AuthOptions
	if err := setUser(&auth, s); err != nil {
		return auth, err
	}
	scope, err := loginScope(s)
	auth.Scope = scope
	return auth, err
}

// setUser names the user by the id, else by name and domain.
func setUser(auth *gophercloud.AuthOptions, s settings) error {
	if auth.UserID = s.text("user_id"); auth.UserID != "" {
		return nil
	}
	if auth.Username = s.text("username", "user_name"); auth.Username == "" {
		return errors.New("there is no username, and no user_id")
	}
	auth.DomainID, auth.DomainName = domain(s, "user")
	return nil
}

// domain returns the domain of the user or the project, by only one of id and name. An id goes before every name, as
// in keystoneauth, but for a name that is given. The last resort is openstackclient's.
func domain(s settings, of string) (id, name string) {
	if named := s(of + "_domain_name"); named.given && s.text(of+"_domain_id") == "" {
		return "", named.text
	}
	if id = s.text(of+"_domain_id", "domain_id", "default_domain_id"); id != "" {
		return id, ""
	}
	if name = s.text(of+"_domain_name", "domain_name", "default_domain_name"); name != "" {
		return "", name
	}
	return cmp.Or(s.text("default_domain"), "default"), ""
}

// loginScope returns what a login is for: a project, a domain, a trust, all of the system, or nothing.
func loginScope(s settings) (*gophercloud.AuthScope, error) {
	id, name := s.text("project_id", "tenant_id"), s.text("project_name", "tenant_name")
	trust, system := s.text("trust_id"), s.text("system_scope")
	inDomain := s.text("domain_id", "domain_name")
	switch {
	case trust != "" && cmp.Or(id, name, inDomain) != "":
		return nil, errors.New("trust_id is given beside a project or a domain; a login is for one of them")
	case id != "":
		return &gophercloud.AuthScope{ProjectID: id}, nil
	case name != "":
		domainID, domainName := domain(s, "project")
		return &gophercloud.AuthScope{ProjectName: name, DomainID: domainID, DomainName: domainName}, nil
	case s.text("domain_id") != "":
		return &gophercloud.AuthScope{DomainID: s.text("domain_id")}, nil
	case inDomain != "":
		return &gophercloud.AuthScope{DomainName: inDomain}, nil
	case trust != "":
		return &gophercloud.AuthScope{TrustID: trust}, nil
	case system == "all":
		return &gophercloud.AuthScope{System: true}, nil
	case system != "":
		return nil, fmt.Errorf("system_scope is %q; there is only all", system)
	}
	return nil, nil
}
