/** Every sentence that the page says but for identity_strings.js and admin/strings.js. Elements of index.html name theirs in data-t attributes. */

/** @param {number} n @param {string} one @param {string} many */
const plural = (n, one, many) => (n === 1 ? one : many);

export const strings = {
  app: {
    name: 'Rushes',
    skip: 'Skip to the content',
    studio: 'Studio',
    create: 'Create',
    videos: 'Videos',
    account: 'Account',
    admin: 'Admin',
    signOut: 'Sign out',
    nav: 'Main',
    close: 'Close',
    /** @param {string} room @param {number} unfinished */
    title: (room, unfinished) => `${unfinished ? `(${unfinished}) ` : ''}${room ? `${room} · ` : ''}Rushes`,
    offline: 'The service does not answer. What you started goes on without this page; trying again…',
    failedToStart: 'The studio could not start.',
    tryAgain: 'Try again',
    loading: 'Loading…',
    cancel: 'Cancel',
    save: 'Save',
    saved: 'Saved.',
    actions: 'Actions',
    copy: 'Copy',
    copied: 'Copied.',
    notCopied: 'This browser does not let the page copy. Select the text and copy it yourself.',
    undo: 'Undo',
    more: 'Show more',
    none: '–',
  },
  signIn: {
    headline: 'Describe a shot. Watch it in minutes.',
    lead: 'Turn a few sentences into video with sound. See the price before you generate; failed videos are refunded automatically.',
    signInTitle: 'Sign in',
    signUpTitle: 'Create your account',
    email: 'Email',
    password: 'Password',
    signIn: 'Sign in',
    signUp: 'Create account',
    google: 'Continue with Google',
    toSignUp: 'New here? Create an account',
    toSignIn: 'Have an account? Sign in',
    forgot: 'Forgot your password?',
    ended: 'You’ve been signed out. Sign in again — your draft is saved.',
  },
  reauthentication: {
    title: 'Enter your password again',
    titleGoogle: 'Sign in again',
    /** @param {string} email */
    lead: (email) => `This requires a sign-in within the last five minutes. You are signed in as ${email}.`,
    /** @param {string} email */
    leadGoogle: (email) => `Confirm with Google that you’re ${email}. You’ll come back here; then try again.`,
    confirm: 'Continue',
  },
  compose: {
    title: 'New video',
    clear: 'Clear',
    cleared: 'Cleared.',
    prompt: 'Prompt',
    project: 'Project',
    noProject: 'No project',
    placeholder: 'Describe the shot: who or what, where, the light, how the camera moves, what one hears.',
    shortcut: 'Ctrl + Enter sends',
    shortcutMac: '⌘ + Enter sends',
    /** @param {string} used @param {string} limit */
    tokens: (used, limit) => `${used} / ${limit} tokens`,
    model: 'Model',
    /** @param {string} name @param {string} credits */
    modelOption: (name, credits) => `${name} · ${credits} credits/s`,
    /** @param {string} name */
    modelBarred: (name) => `${name} · cannot go on from this video`,
    orientation: 'Orientation',
    orientations: { '16:9': 'Landscape', '9:16': 'Portrait' },
    resolution: 'Resolution',
    seconds: 'Length',
    /** @param {number} seconds */
    secondsOption: (seconds) => `${seconds} s`,
    /** @param {number} seconds */
    addedOption: (seconds) => `+ ${seconds} s`,
    sound: 'Sound',
    soundHelp: 'Speech, effects and music',
    more: 'More settings',
    count: 'Videos of this prompt',
    negative: 'Leave out',
    negativePlaceholder: 'What should not appear, such as text or crowds',
    seed: 'Seed',
    seedPlaceholder: 'Any',
    seedHelp: 'The same seed and prompt give a similar video.',
    cost: 'Cost',
    /** @param {string} credits @param {number} n */
    credits: (credits, n) => `${credits} ${plural(n, 'credit', 'credits')}`,
    usual: 'Usual time',
    balanceAfter: 'Balance after',
    send: 'Generate',
    sending: 'Sending…',
    sent: 'On its way',
    retrying: 'No answer yet; asking again. You are never charged twice.',
    reasons: {
      /** @param {string} model @param {string} what */
      notOffered: (model, what) => `${model} does not offer ${what}.`,
      /** @param {string} resolution @param {string} lengths */
      highResolution: (resolution, lengths) => `At ${resolution} the length is ${lengths}.`,
      /** @param {string} model */
      alwaysSound: (model) => `${model} always makes sound.`,
      /** @param {string} model */
      noNegative: (model) => `${model} takes no list of what to leave out. Say it in the prompt.`,
      /** @param {string} model */
      noSeed: (model) => `${model} takes no seed.`,
      /** @param {string} orientation */
      orientation: (orientation) => `${orientation.toLowerCase()} video`,
      /** @param {string} lengths */
      references: (lengths) => `With reference images the length is ${lengths}.`,
      /** @param {string} lengths */
      lastFrame: (lengths) => `With a last frame the length is ${lengths}.`,
      extension: 'It stays as in the video that you go on from.',
      /** @param {string} model @param {string} lengths */
      extensionLength: (model, lengths) => `${model} adds ${lengths}.`,
      /** @param {string} models */
      cannotExtend: (models) => `${models} cannot go on from this video.`,
    },
    /** Why the service would not take the request now, by its code. */
    refusals: /** @type {Record<string, string>} */ ({
      INSUFFICIENT_CREDITS: 'Your balance does not cover this. Choose a shorter video, or ask for credits.',
      TOO_MANY_ACTIVE_JOBS: 'As many videos are in the making as you may have at once. Wait for one, or cancel one.',
      GENERATION_DISABLED: 'Generation is paused right now. Your draft is kept.',
      ACCOUNT_DISABLED: 'This account is disabled. Ask an administrator why.',
    }),
    problems: {
      empty: 'Write a prompt first.',
      /** @param {string} over */
      tooLong: (over) => `The prompt is ${over} tokens too long. Shorten it to send it.`,
      seed: 'The seed is a whole number from 0 to 4,294,967,295.',
      firstMissing: 'A last frame needs a first frame. Add one, or remove the last.',
      noExtension: 'No model that is set up here can go on from this video. Remove it to make a new one.',
    },
  },
  source: {
    title: 'Goes on from',
    remove: 'Do not go on from this video',
  },
  images: {
    title: 'Images',
    first: 'First frame',
    last: 'Last frame',
    reference: 'References',
    help: 'Drop, paste or choose PNG, JPEG or WebP images of up to 8 MiB.',
    /** @param {string} slot */
    add: (slot) => `Add an image: ${slot}`,
    /** @param {string} slot @param {string} name */
    remove: (slot, name) => `Remove ${name} (${slot})`,
    /** @param {string} name @param {string} slot */
    added: (name, slot) => `${name}: ${slot}`,
    pasted: 'Pasted image',
    reasons: {
      extension: 'A video that goes on from another takes no images.',
      notBoth: 'References do not go together with a first or last frame.',
      needsFirst: 'A last frame needs a first frame.',
      /** @param {string} model */
      noFirst: (model) => `${model} takes no first frame.`,
      /** @param {string} model */
      noLast: (model) => `${model} takes no last frame.`,
      /** @param {string} model */
      noReferences: (model) => `${model} takes no reference images.`,
      /** @param {number} n */
      full: (n) => `That is all: ${n} reference images.`,
    },
    faults: {
      /** @param {string} name */
      type: (name) => `${name} is no PNG, JPEG or WebP image.`,
      /** @param {string} name */
      tooLarge: (name) => `${name} is larger than 8 MiB.`,
      /** @param {string} name @param {string} size */
      pixels: (name, size) => `${name} is ${size} pixels. Each side must have 64 to 8,192, and both together at most 36 million.`,
      /** @param {string} name */
      noRoom: (name) => `There is no place for ${name}: remove another image first, or choose another model.`,
    },
  },
  templates: {
    open: 'Templates',
    title: 'Start from a template',
    lead: 'Fill in the blanks. What you leave empty is as in the example.',
    which: 'Template',
    use: 'Use this prompt',
    /** Words in braces are blanks: {name|example}. */
    all: [
      {
        title: 'Product shot',
        text: '{product|A matte black espresso machine} turns slowly on {surface|wet slate}, {light|one soft light from the left}. Macro lens, shallow depth of field, the camera glides past. Sound: {sound|a low hum and one drop falling}.',
      },
      {
        title: 'Establishing shot',
        text: 'Slow aerial shot over {place|a fishing village on a rocky coast} at {time|first light}, {weather|thin mist lifting off the water}. The camera rises and turns. Sound: {sound|gulls and distant surf}.',
      },
      {
        title: 'Character moment',
        text: 'Medium close-up of {person|an old watchmaker} who {action|holds a tiny gear up to the lamp and smiles}, in {place|a cluttered workshop}. Handheld, {mood|warm and quiet}. Dialogue: “{line|There you are.}”',
      },
      {
        title: 'Time-lapse',
        text: 'Time-lapse of {subject|a city square} from {from|dusk} to {to|deep night}, locked-off wide shot, {detail|lights come on one by one and traffic turns to streaks}.',
      },
      {
        title: 'Stop motion',
        text: 'Stop-motion animation of {hero|a felt fox} that {action|builds a boat from a walnut shell} on {set|a kitchen table}, visible fingerprints, twelve frames a second. Sound: {sound|tiny wooden taps}.',
      },
    ],
  },
  library: {
    title: 'Your videos',
    loading: 'Loading your videos',
    more: 'Show more',
    failed: 'Your videos could not be loaded.',
    /** @param {number} n */
    underWay: (n) => (n ? `${n} in the making` : ''),
    emptyTitle: 'Nothing shot yet',
    emptyLead: 'Here your videos appear: first while they are made, then to watch. You may close the page meanwhile.',
    steps: [
      'Describe a shot, or take one of these three. What it costs is shown before you send it.',
      'Most videos are here in a minute or two. What fails is paid back by itself.',
      'Watch, download, extend, or make the next one from the same prompt.',
    ],
    allLoaded: 'These are all your videos.',
    use: 'Use this prompt',
    starters: [
      {
        title: 'Paper boat',
        prompt:
          'A small paper boat drifts down a rain gutter at night, neon signs mirrored in the water. Low tracking shot at water level, shallow depth of field. Soft rain and distant traffic.',
      },
      {
        title: 'First light',
        prompt:
          'Slow aerial shot over a mist-filled valley of pines at sunrise, long golden shadows, a single bird crossing the frame. Calm wind and a far-off church bell.',
      },
      {
        title: 'The baker',
        prompt:
          'Close-up of a baker’s hands dusting flour over dough in warm morning light, fine particles floating in the air, handheld camera. Gentle kitchen sounds and humming.',
      },
    ],
  },
  card: {
    /** @param {string} prompt */
    play: (prompt) => `Play: ${prompt}`,
    /** @param {string} prompt */
    details: (prompt) => `Details: ${prompt}`,
    cancel: 'Cancel',
    /** @param {string} prompt */
    cancelThis: (prompt) => `Cancel: ${prompt}`,
    reuse: 'Use this prompt again',
    extend: 'Go on from this video',
    remove: 'Delete',
    failed: 'Not made',
    canceled: 'Canceled',
    expired: 'No longer kept',
    /** @param {string} credits @param {number} n */
    refunded: (credits, n) => `${credits} ${plural(n, 'credit', 'credits')} returned`,
    noRefund: 'Nothing was returned',
    progress: 'Progress',
    stages: {
      waiting: 'Waiting for a free place',
      queued: 'In line for the model',
      starting: 'Handing it to the model',
      uncertain: 'Checking what became of it',
      generating: 'Generating',
      storing: 'Saving the video',
      completed: 'Ready',
      failed: 'Not made',
      canceled: 'Canceled',
    },
    /** @param {string} elapsed @param {string} expected */
    times: (elapsed, expected) => `${elapsed} · usually ${expected}`,
    /** @param {string} elapsed */
    late: (elapsed) => `${elapsed} · longer than usual`,
    /** @param {number} n */
    files: (n) => `${n} videos`,
    /** @param {string} prompt */
    choose: (prompt) => `Select: ${prompt}`,
    cancelTitle: 'Cancel this video?',
    /** @param {string} credits */
    cancelAll: (credits) => `All ${credits} come back.`,
    /** @param {string} credits */
    cancelNothing: (credits) => `None of the ${credits} come back.`,
    /** @param {string} returned @param {string} credits */
    cancelPart: (returned, credits) => `${returned} of ${credits} come back.`,
    /** Why so many credits come back. @type {Record<import('./types.js').CancelReason, string>} */
    cancelReasons: {
      not_begun: 'The model has not begun.',
      billed: 'The model has begun, and its work has to be paid for even if it is stopped.',
      not_billed: 'The model can be stopped without being paid for.',
      uncertain: 'Nobody knows yet whether the model has begun. If it has not, the video fails within minutes and all credits come back.',
      policy: '',
      daily_limit: 'The model has begun, and refunds of begun videos are used up for today.',
    },
    cancelChanged: 'The model has begun meanwhile. Nothing was canceled.',
    cancelYes: 'Cancel the video',
    cancelNo: 'Keep it going',
    /** @param {number} n */
    removed: (n) => (n === 1 ? 'Video deleted.' : `${n} videos deleted.`),
    /** @param {number} n */
    broughtBack: (n) => (n === 1 ? 'The video is back.' : `${n} videos are back.`),
    notRemoved: 'Not deleted:',
    /** @param {string} prompt */
    ready: (prompt) => `Ready: ${prompt}`,
    /** @param {string} message */
    notMade: (message) => `Not made: ${message}`,
  },
  filters: {
    label: 'Find videos',
    text: 'Search the prompts',
    kind: 'Show',
    when: 'Made',
    all: 'All videos',
    byStatus: 'Status',
    byModel: 'Model',
    byProject: 'Project',
    statuses: {
      queued: 'In line',
      in_progress: 'In the making',
      completed: 'Ready',
      failed: 'Not made',
      canceled: 'Canceled',
    },
    whens: { ever: 'Any time', today: 'Today', week: 'Last 7 days', month: 'Last 30 days', days: 'Between two days…' },
    from: 'From',
    to: 'To',
    clear: 'Show all videos',
    /** @param {string} text @param {string} loaded */
    noHit: (text, loaded) => `No prompt with “${text}” among the ${loaded} videos that are loaded.`,
    nothing: 'No video is like this.',
  },
  selection: {
    label: 'Selected videos',
    start: 'Select',
    end: 'Done',
    all: 'Select all shown',
    remove: 'Delete',
    /** @param {number} n */
    count: (n) => (n ? `${n} selected` : 'Select the videos to delete'),
  },
  notices: {
    on: 'You are notified when a video is done. Press to stop.',
    off: 'Notify me when a video is done',
    blocked: 'This browser blocks notifications of this page. Allow them in its settings.',
    ready: 'Your video is ready',
    failed: 'Your video was not made',
  },
  player: {
    label: 'Video',
    prompt: 'What was asked for',
    newer: 'Newer video',
    older: 'Older video',
    /** @param {number} at @param {number} of */
    place: (at, of) => `${at} of ${of}`,
    loop: 'Loop',
    full: 'Full screen',
    link: 'Copy link',
    linkCopied: 'Link copied. It opens here, for who is signed in as you.',
    extend: 'Extend',
    cannotExtend: 'No model here can go on from this video.',
    extended: 'Goes on from',
    extendedFrom: 'another video',
    images: 'Images',
    inputs: { first_frame: 'first frame', last_frame: 'last frame', reference: 'reference' },
    project: 'Project',
    download: 'Download',
    downloading: 'Downloading…',
    reuse: 'Use prompt',
    remove: 'Delete',
    which: 'Which video',
    failed: 'The video does not load.',
    model: 'Model',
    length: 'Length',
    size: 'Size',
    sound: 'Sound',
    soundOn: 'With sound',
    soundOff: 'Silent',
    seed: 'Seed',
    negative: 'Left out',
    made: 'Made',
    took: 'Took',
    cost: 'Cost',
    returned: 'Returned',
    keptUntil: 'Kept until',
    file: 'File',
    reason: 'The model says',
    suggestion: 'What to do',
    underWay: 'Still in the making. It appears here when it is ready.',
    missing: 'This video is not here: it was deleted, or it belongs to another account.',
  },
  account: {
    title: 'Account',
    sections: { overview: 'Overview', ledger: 'Ledger', keys: 'API keys', webhooks: 'Webhooks', data: 'Your data' },
    balance: 'Balance',
    unit: 'credits',
    /** @param {string} balance */
    balanceLabel: (balance) => `Balance: ${balance} credits. Open the account.`,
    profile: 'Profile',
    name: 'Name',
    nameHelp: 'Shown to administrators beside your e-mail.',
    email: 'Email',
    plan: 'Plan',
    active: 'In the making',
    /** @param {number} active @param {number} limit */
    activeOf: (active, limit) => `${active} of ${limit} at once`,
    since: 'Since',
    appearance: 'Appearance',
    themes: { system: 'As the system', dark: 'Dark', light: 'Light' },
    usage: 'Use per day',
    /** @param {number} days */
    usageLead: (days) => `The last ${days} days, from your ledger. Credits are what was charged less what was returned; a video counts on the day it was asked for.`,
    /** @param {string} date */
    usageShort: (date) => `Your ledger is long: it was read back to ${date} only, and that day may be incomplete.`,
    usageNone: 'Nothing was spent in this time.',
    creditsADay: 'Credits',
    videosADay: 'Videos',
    /** @param {string} total */
    total: (total) => `${total} in all`,
    table: 'As a table',
    day: 'Day',
    ledger: 'Ledger',
    ledgerLead: 'Every credit that came or went, newest first, with the balance after it.',
    empty: 'Nothing has come or gone yet.',
    failed: 'The ledger could not be loaded.',
    date: 'Date',
    what: 'What',
    amount: 'Credits',
    after: 'Balance',
    types: { signup: 'Welcome credits', grant: 'Credits added', charge: 'Video', refund: 'Returned' },
    openVideo: 'Open the video',
  },
  keys: {
    lead: 'Programs use the API with a key: with your videos, your credits and your limits. A key never reaches what administrators may do.',
    make: 'Make a key',
    name: 'What it is for',
    namePlaceholder: 'Such as: nightly renders',
    scope: 'It may',
    scopes: { write: 'read and write', read: 'only read' },
    expires: 'Ends',
    days: { 30: 'after 30 days', 90: 'after 90 days', 365: 'after a year', 0: 'never' },
    made: 'This is your key. It is shown only now: copy it to where it is needed.',
    done: 'I have it',
    empty: 'There are no keys.',
    failed: 'The keys could not be loaded.',
    /** @param {string} date */
    ends: (date) => `ends ${date}`,
    /** @param {string} date */
    ended: (date) => `ended ${date}`,
    neverEnds: 'never ends',
    /** @param {string} date */
    used: (date) => `last used ${date}`,
    neverUsed: 'never used',
    revoke: 'Revoke',
    revokeTitle: 'Revoke this key?',
    /** @param {string} name */
    revokeText: (name) => `Programs that use “${name}” are refused within a minute. This cannot be undone.`,
    revoked: 'The key is revoked.',
  },
  webhooks: {
    lead: 'Your server is told when a video has ended, by a signed message (Standard Webhooks).',
    add: 'Add an endpoint',
    url: 'Address',
    urlPlaceholder: 'https://example.com/rushes',
    events: 'It hears of',
    eventNames: { 'video.completed': 'finished videos', 'video.failed': 'failed ones', 'video.canceled': 'canceled ones' },
    description: 'Note',
    descriptionPlaceholder: 'May stay empty',
    needsEvent: 'Choose at least one.',
    secret: 'This is the secret that signs its messages. It is shown only now.',
    done: 'I have it',
    empty: 'There are no endpoints.',
    failed: 'The endpoints could not be loaded.',
    enabled: 'Messages are sent',
    disabled: 'Switched off',
    /** @param {string} reason */
    disabledBecause: (reason) => `Switched off, because ${reason}`,
    /** @param {string} date */
    pausedUntil: (date) => `Paused after several failures; next try at ${date}`,
    test: 'Send a test',
    tested: 'A test message is on its way.',
    rotate: 'New secret',
    rotateTitle: 'Give it a new secret?',
    rotateText: 'The present secret signs as well for another 24 hours.',
    remove: 'Delete',
    removeTitle: 'Delete this endpoint?',
    removeText: 'It is told nothing more, and its secrets are forgotten.',
    removed: 'The endpoint is deleted.',
    deliveries: 'Messages',
    deliveriesEmpty: 'Nothing was sent yet.',
    deliveriesFailed: 'The messages could not be loaded.',
    refresh: 'Refresh',
    message: 'Message',
    outcome: 'Outcome',
    tries: 'Tries',
    sent: 'Made',
    statuses: { pending: 'Under way', delivered: 'Delivered', failed: 'Given up' },
    ping: 'Test',
    /** @param {number} status */
    answered: (status) => `answered ${status}`,
    accountSecret: 'The secret of a video’s own address',
    accountSecretLead: 'A video that is asked for over the API may name an address of its own (webhook_url). Messages to it are signed with this secret.',
    show: 'Show it',
    /** @param {string} date */
    previousUntil: (date) => `The one before signs as well until ${date}.`,
  },
  data: {
    exportTitle: 'A copy of your data',
    exportLead: 'Your account, videos, ledger, keys (never the keys themselves) and webhooks, as JSON files that can be downloaded for 7 days.',
    exportStart: 'Make a copy',
    exportUnderWay: 'The copy is being made…',
    /** @param {string} date */
    exportReady: (date) => `Ready. The files are kept until ${date}.`,
    exportGone: 'The files of the last copy are no longer kept.',
    eraseTitle: 'Delete your account',
    eraseLead: 'Videos under way are canceled; all videos, keys and webhooks are deleted, and your name and address removed. What stays is the ledger, without a name. Credits that are left are lost. This cannot be undone.',
    erase: 'Delete my account…',
    eraseAsk: 'Delete your account for good?',
    /** @param {string} balance */
    eraseText: (balance) => `Everything goes, and the ${balance} credits that are left with it. Nobody can bring it back.`,
    /** @param {string} word */
    eraseWord: (word) => `Type ${word} to go on`,
    eraseYes: 'Delete my account',
    eraseNo: 'Keep it',
    erased: 'Your account is closed, and everything in it is being deleted.',
  },
  problems: {
    signInRefused: {
      message: 'The sign-in service is refusing requests right now.',
      action: 'You’re still signed in. Try again in a few minutes.',
    },
    offline: { message: 'The service does not answer.', action: 'Check your connection and try again.' },
    unreadable: { message: 'The service gave an answer that cannot be read.', action: 'Try again in a moment.' },
    unknownOutcome: {
      message: 'No answer came, so it is not known whether your request arrived.',
      action: 'Press Generate again: the same request is never made or charged twice.',
    },
    /** @param {string} required @param {string} available @param {string} deficit */
    credits: (required, available, deficit) => `This costs ${required} credits and you have ${available}: ${deficit} too few.`,
    /** @param {string} cost @param {string} agreed */
    price: (cost, agreed) => `The price is ${cost} now; it was ${agreed}. Nothing was made.`,
    priceAction: 'Press Generate again to make it at the new price.',
    /** @param {string} message @param {string} fields */
    fields: (message, fields) => `${message} ${fields}`,
    /** @param {string} seconds */
    wait: (seconds) => `Try again in ${seconds}.`,
    /** @param {string} id */
    requestId: (id) => `Request ${id}`,
  },
  time: {
    now: 'just now',
  },
};
