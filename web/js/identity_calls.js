/** What few visits ask of the identity service: mail with links, what the links do, Google, and the password policy. */

import { identityStrings } from './identity_strings.js';
import { IdentityError, request } from './session.js';

/** @typedef {import('./session.js').Session} Session */

/** Where links in mail lead back to. */
const home = () => `${location.origin}/`;

/** @param {string} tenantId */
const inTenant = (tenantId) => (tenantId ? { tenantId } : {});

/** Mail a link that verifies the address. @param {Session} session */
export async function sendVerification(session) {
  await session.call('sendOobCode', { requestType: 'VERIFY_EMAIL', idToken: await session.token(), continueUrl: home() });
}

/** Mail a link that resets the password; nobody learns whether there is such an account. @param {Session} session @param {string} email */
export async function sendPasswordReset(session, email) {
  try {
    await session.call('sendOobCode', { requestType: 'PASSWORD_RESET', email, continueUrl: home(), ...session.tenant });
  } catch (error) {
    if (!(error instanceof IdentityError) || error.code !== 'EMAIL_NOT_FOUND') throw error;
  }
}

/** What a link's code is for; it stays good. @param {Session} session @param {string} oobCode @param {string} tenantId @returns {Promise<{email: string, newEmail?: string}>} */
export function lookAtCode(session, oobCode, tenantId) {
  return session.call('resetPassword', { oobCode, ...inTenant(tenantId) });
}

/** Do what a link is for. @param {Session} session @param {string} oobCode @param {string} tenantId */
export async function applyCode(session, oobCode, tenantId) {
  await session.call('update', { oobCode, ...inTenant(tenantId) });
}

/** @param {Session} session @param {string} oobCode @param {string} newPassword @param {string} tenantId */
export async function resetPassword(session, oobCode, newPassword, tenantId) {
  await session.call('resetPassword', { oobCode, newPassword, ...inTenant(tenantId) });
}

/** Sign in with Google's ID token. @param {Session} session @param {string} token @param {string} nonce */
export async function signInWithGoogle(session, token, nonce) {
  const answer = await session.call('signInWithIdp', {
    postBody: new URLSearchParams({ id_token: token, providerId: 'google.com', nonce }).toString(),
    requestUri: location.origin,
    returnSecureToken: true,
    returnIdpCredential: true,
    ...session.tenant,
  });
  // With returnIdpCredential some refusals come as a success without tokens.
  if (!answer.idToken) throw new IdentityError(answer.errorMessage ?? (answer.needConfirmation ? 'NEED_CONFIRMATION' : 'REFUSED'));
  session.enter(answer);
}

/** How many characters a password needs. @param {Session} session */
export async function minPasswordLength({ config, tenant }) {
  const asked = new URLSearchParams({ key: config.api_key, ...tenant });
  const answer = await request(`${config.identity_url.replace(/\/v1$/, '/v2')}/passwordPolicy?${asked}`, {});
  return Number(answer.customStrengthOptions?.minPasswordLength) || 6;
}

/**
 * Say what a new password needs, and let the browser check its length.
 * @param {Session} session
 * @param {HTMLInputElement} input
 * @param {HTMLElement} help
 */
export async function showPasswordPolicy(session, input, help) {
  try {
    const least = await minPasswordLength(session);
    input.minLength = least;
    help.textContent = identityStrings.passwordHelp(least);
    help.hidden = false;
  } catch (error) {
    // The service says what is missing when the password is sent.
    if (!(error instanceof IdentityError)) throw error;
  }
}
