// The common emoji by their short names; a name that is not here stays as it was written.

const NAMES = `
+1 👍|thumbsup 👍|-1 👎|thumbsdown 👎|ok_hand 👌|wave 👋|clap 👏|raised_hands 🙌|pray 🙏|muscle 💪|point_right 👉|point_left 👈
point_up ☝️|point_down 👇|raised_hand ✋|hand ✋|v ✌️|crossed_fingers 🤞|handshake 🤝|writing_hand ✍️|eyes 👀|eye 👁️|brain 🧠
smile 😄|smiley 😃|grin 😁|grinning 😀|joy 😂|sweat_smile 😅|laughing 😆|wink 😉|blush 😊|slightly_smiling_face 🙂|upside_down_face 🙃
heart_eyes 😍|thinking_face 🤔|neutral_face 😐|expressionless 😑|unamused 😒|rolling_eyes 🙄|grimacing 😬|relieved 😌|sleeping 😴
mask 😷|sunglasses 😎|nerd_face 🤓|confused 😕|worried 😟|slightly_frowning_face 🙁|open_mouth 😮|astonished 😲|flushed 😳|cry 😢
sob 😭|scream 😱|angry 😠|rage 😡|skull 💀|robot_face 🤖|ghost 👻|alien 👽|facepalm 🤦|shrug 🤷|saluting_face 🫡
heart ❤️|green_heart 💚|yellow_heart 💛|blue_heart 💙|broken_heart 💔|100 💯|boom 💥|fire 🔥|sparkles ✨|star ⭐|star2 🌟|zap ⚡|tada 🎉
confetti_ball 🎊|balloon 🎈|gift 🎁|trophy 🏆|medal 🏅|rocket 🚀|airplane ✈️|car 🚗|ship 🚢|ambulance 🚑|rotating_light 🚨|construction 🚧
white_check_mark ✅|heavy_check_mark ✔️|ballot_box_with_check ☑️|x ❌|negative_squared_cross_mark ❎|heavy_multiplication_x ✖️
no_entry ⛔|no_entry_sign 🚫|octagonal_sign 🛑|stop_sign 🛑|warning ⚠️|exclamation ❗|heavy_exclamation_mark ❗|grey_exclamation ❕
question ❓|grey_question ❔|bangbang ‼️|interrobang ⁉️|information_source ℹ️|red_circle 🔴|large_orange_circle 🟠|large_yellow_circle 🟡
large_green_circle 🟢|large_blue_circle 🔵|large_purple_circle 🟣|large_brown_circle 🟤|white_circle ⚪|black_circle ⚫|large_red_square 🟥
large_orange_square 🟧|large_yellow_square 🟨|large_green_square 🟩|large_blue_square 🟦|white_large_square ⬜|black_large_square ⬛
small_red_triangle 🔺|small_orange_diamond 🔸|small_blue_diamond 🔹|large_orange_diamond 🔶|large_blue_diamond 🔷|radio_button 🔘
arrow_right ➡️|arrow_left ⬅️|arrow_up ⬆️|arrow_down ⬇️|arrows_counterclockwise 🔄|repeat 🔁|leftwards_arrow_with_hook ↩️|fast_forward ⏩
rewind ⏪|arrow_forward ▶️|double_vertical_bar ⏸️|black_square_for_stop ⏹️|hourglass ⌛|hourglass_flowing_sand ⏳|watch ⌚|alarm_clock ⏰
stopwatch ⏱️|timer_clock ⏲️|clock1 🕐|clock3 🕒|clock9 🕘|calendar 📅|date 📅|spiral_calendar_pad 🗓️|bust_in_silhouette 👤
busts_in_silhouette 👥|speech_balloon 💬|thought_balloon 💭|left_speech_bubble 🗨️|mega 📣|loudspeaker 📢|bell 🔔|no_bell 🔕|mute 🔇
email 📧|envelope ✉️|incoming_envelope 📨|inbox_tray 📥|outbox_tray 📤|package 📦|mailbox 📫|memo 📝|pencil 📝|pencil2 ✏️|page_facing_up 📄
page_with_curl 📃|clipboard 📋|bookmark_tabs 📑|bar_chart 📊|chart_with_upwards_trend 📈|chart_with_downwards_trend 📉|card_index 📇
file_folder 📁|open_file_folder 📂|newspaper 📰|books 📚|book 📖|link 🔗|paperclip 📎|pushpin 📌|round_pushpin 📍|scissors ✂️
lock 🔒|unlock 🔓|lock_with_ink_pen 🔏|closed_lock_with_key 🔐|key 🔑|old_key 🗝️|shield 🛡️|hammer 🔨|wrench 🔧|gear ⚙️|nut_and_bolt 🔩
hammer_and_wrench 🛠️|mag 🔍|mag_right 🔎|bulb 💡|electric_plug 🔌|battery 🔋|computer 💻|desktop_computer 🖥️|keyboard ⌨️|floppy_disk 💾
cd 💿|phone ☎️|iphone 📱|camera 📷|tv 📺|satellite 🛰️|credit_card 💳|moneybag 💰|money_with_wings 💸|dollar 💵|euro 💶|bank 🏦|receipt 🧾
scales ⚖️|balance_scale ⚖️|wastebasket 🗑️|broom 🧹|label 🏷️|art 🎨|test_tube 🧪|microscope 🔬|bug 🐛|beetle 🐞|snake 🐍|whale 🐳|dog 🐶
cat 🐱|turtle 🐢|crab 🦀|coffee ☕|pizza 🍕|cake 🍰|beer 🍺|sunny ☀️|cloud ☁️|umbrella ☔|snowflake ❄️|rainbow 🌈|earth_africa 🌍
globe_with_meridians 🌐|house 🏠|office 🏢|factory 🏭|seedling 🌱|four_leaf_clover 🍀|one 1️⃣|two 2️⃣|three 3️⃣|four 4️⃣|five 5️⃣
zero 0️⃣|six 6️⃣|seven 7️⃣|eight 8️⃣|nine 9️⃣|keycap_ten 🔟|copyright ©️|registered ®️|tm ™️|recycle ♻️|checkered_flag 🏁|triangular_flag_on_post 🚩
`;

const TABLE = new Map(
  NAMES.trim()
    .split(/[|\n]/)
    .map((pair) => pair.split(" ")),
);

/** The emoji, or undefined. */
export const emoji = (name) => TABLE.get(name);

/** Text with :names: replaced by emoji. */
export const withEmoji = (text) => text.replace(/:([a-z0-9_+-]+):/g, (whole, name) => emoji(name) ?? whole);
