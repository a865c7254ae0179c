/**
 * Signing in with Google by OpenID Connect's redirect: to Google's page, and back here with an ID token in the fragment.
 * No script of Google's runs in this page. `state` and `nonce` tie the return to the tab that left.
 */

import { signInWithGoogle } from './identity_calls.js';
import { IdentityError } from './session.js';

const KEPT = 'rushes.google';

/** Leave for Google's page. @param {import('./session.js').Config} config @param {string} [place] where to come back to, after # */
export async function toGoogle({ google_client_id, google_url }, place = '') {
  const [state, nonce] = [random(), random()];
  sessionStorage.setItem(KEPT, JSON.stringify({ state, nonce, place }));
  const asked = new URLSearchParams({
    client_id: google_client_id ?? '',
    redirect_uri: `${location.origin}/`,
    response_type: 'id_token',
    scope: 'openid email profile',
    state,
    nonce: await hashed(nonce),
  });
  location.assign(`${google_url}?${asked}`);
}

/** Sign in with what Google returned. Raises IdentityError. @param {import('./session.js').Session} session */
export async function finish(session) {
  const returned = new URLSearchParams(location.hash.slice(1));
  const kept = sessionStorage.getItem(KEPT);
  sessionStorage.removeItem(KEPT);
  const { state, nonce, place = '' } = kept ? JSON.parse(kept) : {};
  // The token doesn't stay in the address or in the history.
  history.replaceState(null, '', location.pathname + place);
  if (!state || returned.get('state') !== state) throw new IdentityError('INVALID_IDP_RESPONSE');
  const token = returned.get('id_token');
  if (!token) throw new IdentityError(returned.get('error') === 'access_denied' ? 'GOOGLE_CANCELED' : 'INVALID_IDP_RESPONSE');
  try {
    await signInWithGoogle(session, token, nonce);
  } catch (error) {
    if (!(error instanceof IdentityError) || error.code !== 'MISSING_OR_INVALID_NONCE') throw error;
    // Whether Google's nonce is compared as it is or by its hash, as other providers' are, isn't documented.
    await signInWithGoogle(session, token, await hashed(nonce));
  }
}

function random() {
  return hex(crypto.getRandomValues(new Uint8Array(24)));
}

/** @param {string} text SHA-256 in hexadecimal */
async function hashed(text) {
  return hex(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))));
}

/** @param {Uint8Array} bytes */
const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
